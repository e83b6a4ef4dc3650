"""What reports and journals say of an exception."""

from __future__ import annotations

import json
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from . import limits
from ._values.paths import well_formed
from .errors import RemoteError, SaltError

if TYPE_CHECKING:
    from ._messages.common.outcomes import Failure

_causes_max = 5
_details_chars_max = 16 * 1024
_own_folder = os.path.dirname(os.path.abspath(__file__)) + os.sep
_library_folder = os.path.dirname(os.path.abspath(os.__file__)) + os.sep


def failure_of(error: BaseException, *, retryable: bool | None = None, causes: int = _causes_max) -> Failure:
    """The exception's class, message, trimmed traceback and causes, each cut to its limit.

    Retryable unless the exception says `retryable = False`. The cause is `__cause__`, else the `__context__` in which
    it was raised; at most 5 deep.
    """
    failure: Failure = {
        "type": cut(type_of(error), 200),
        "message": cut(message_of(error), limits.message_chars_max),
        "retryable": getattr(error, "retryable", True) is not False if retryable is None else retryable,
    }
    stack = stack_of(error)
    if stack is not None:
        failure["stack"] = cut(stack, limits.stack_chars_max)
    cause = cause_of(error)
    if cause is not None and causes > 0:
        failure["cause"] = failure_of(cause, causes=causes - 1)
    details = _as_json(getattr(error, "details", None))
    if details is not None:
        failure["details"] = details
    return failure


def type_of(error: BaseException) -> str:
    """The class's name; of an error from another program the one that it had there, of Salt's own errors the code."""
    if isinstance(error, RemoteError):
        return error.type
    if type(error) is SaltError:
        return error.code
    return type(error).__name__


def message_of(error: BaseException) -> str:
    """What the exception says. One whose `__str__` fails says only that."""
    try:
        return well_formed(str(error))
    except Exception:
        return "(the exception has no readable message)"


def cause_of(error: BaseException) -> BaseException | None:
    """`__cause__`, else `__context__` unless it was suppressed by `from None`."""
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def stack_of(error: BaseException) -> str | None:
    """The traceback as the project's author knows it: without the frames of Salt and of the standard library around
    it, and with paths from the folders of `sys.path`. None when the exception was never raised in this process."""
    if isinstance(error, RemoteError):
        return error.stack
    if error.__traceback__ is None:
        return None
    try:
        told = traceback.TracebackException.from_exception(error, compact=True)
    except Exception:
        return None
    _trim(told)
    return "".join(told.format(chain=False)).rstrip("\n")


def _trim(told: traceback.TracebackException) -> None:
    frames = list(told.stack)
    own = [frame for frame in frames if not frame.filename.startswith((_own_folder, _library_folder, "<frozen "))]
    kept = _around(frames, own) if own else frames
    for frame in kept:
        frame.filename = _short(frame.filename)
    told.stack = traceback.StackSummary.from_list(kept)
    for inner in getattr(told, "exceptions", None) or ():
        _trim(inner)


def _around(frames: list[traceback.FrameSummary], own: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """From the first frame of the project on, without Salt's; what a library does in the project's name is kept."""
    first = frames.index(own[0])
    return [frame for frame in frames[first:] if not frame.filename.startswith(_own_folder)]


def _short(filename: str) -> str:
    folders = [os.path.abspath(folder) for folder in sys.path if folder]
    fitting = [folder for folder in folders if filename.startswith(folder + os.sep)]
    longest = max(fitting, key=len, default="")
    return filename[len(longest) + 1 :] if longest else filename


def cut(text: str, chars_max: int) -> str:
    """At most so many characters as the other end counts them, in UTF-16 units."""
    whole = well_formed(text)
    if len(whole) * 2 <= chars_max or _units(whole) <= chars_max:
        return whole
    short = whole[: chars_max - 1]
    while _units(short) > chars_max - 1:
        short = short[: len(short) - max(1, (_units(short) - chars_max + 1) // 2)]
    return f"{short}…"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _as_json(value: Any) -> Any:
    """The value as JSON would keep it, or None when it cannot or is long."""
    if value is None:
        return None
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return None
    return json.loads(well_formed(text)) if len(text) <= _details_chars_max else None
