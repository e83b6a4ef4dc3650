"""Options of task types, workflows and calls, checked where the project's code says them."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from .. import limits
from .._values.paths import quoted
from ..errors import SaltError

if TYPE_CHECKING:
    from .._messages.common.options import TaskLimit, TaskOptions, TaskOptionsRetry

Word = TypeVar("Word", bound=str)

Seconds = float | int | dt.timedelta
"""A length of time: seconds, or a timedelta."""

name_pattern = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}\Z")
qualified_pattern = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}(/[A-Za-z][A-Za-z0-9_.-]{0,99})?\Z")
label_pattern = re.compile(r"[A-Za-z0-9_./-]{1,63}\Z")


@dataclass(frozen=True)
class Retry:
    """How often a task is tried, and the pauses between: exponential back-off with full jitter.

    `attempts`: in all, 1 to 1,000, default 1. `backoff`: upper bound of the first pause, default 1 s; it grows by
    `factor` (1 to 100, default 2) up to `backoff_max` (default 5 min). Each pause is drawn evenly from zero to the
    bound.
    """

    attempts: int | None = None
    backoff: Seconds | None = None
    factor: float | None = None
    backoff_max: Seconds | None = None


@dataclass(frozen=True)
class Limit:
    """How many tasks are at work at once, over all runs of the project: those that name the same limit share it.

    `name`: a letter, then letters, digits, `_`, `.` and `-`. `max`: 1 to 1,000.
    """

    name: str
    max: int


class WorkflowOptions(TypedDict, total=False):
    """What a workflow declares besides its name and its types, as the manifest has it."""

    description: str
    runTimeoutMs: int
    isolate: bool
    pool: str
    labels: dict[str, str]


def milliseconds(what: str, time: Seconds) -> float:
    """Milliseconds of seconds or of a timedelta. Raises SaltError `BadRequest`."""
    if isinstance(time, dt.timedelta):
        return time / dt.timedelta(milliseconds=1)
    if isinstance(time, (int, float)) and not isinstance(time, bool) and math.isfinite(time):
        return float(f"{time * 1000:.15g}")
    raise SaltError("BadRequest", f"Cannot {what}: {time!r} is neither seconds nor a timedelta.")


def checked_name(what: str, name: Any) -> str:
    """Raises SaltError `BadRequest` for what is no name of a signal, an event or an emitted value."""
    if isinstance(name, str) and name_pattern.match(name):
        return name
    raise SaltError(
        "BadRequest",
        f"Cannot use the {what} name {_shown(name)}: "
        "it must begin with a letter and hold at most 100 letters, digits, '_', '.' and '-'.",
    )


def checked_qualified_name(name: Any) -> str:
    """A task type or workflow, of this project or, as `project/name`, of another."""
    if isinstance(name, str) and qualified_pattern.match(name):
        return name
    raise SaltError("BadRequest", f"Cannot call {_shown(name)}: it is neither a name nor project/name.")


def _shown(name: Any) -> str:
    return quoted(name) if isinstance(name, str) else repr(name)


def task_options(what: str, given: dict[str, Any]) -> TaskOptions:
    """The options as the protocol has them. Raises SaltError `BadRequest` naming the one that is not valid."""
    options: TaskOptions = {}
    for name, value in given.items():
        read = _readers.get(name)
        if read is None:
            raise SaltError("BadRequest", f"Cannot {what}: {name} is not an option.")
        try:
            options.update(read(value))
        except (ValueError, TypeError, AttributeError) as error:
            raise SaltError("BadRequest", f"Cannot {what}: {name}: {error}.") from None
    return options


def _whole(value: Any, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"expected a whole number from {least} to {most}, not {value!r}")
    return value


def _duration(value: Any, most_ms: float) -> int:
    ms = milliseconds("use it", value)
    if not 0 < ms <= most_ms:
        raise ValueError(f"expected more than 0 and at most {most_ms / 1000:g} seconds, not {value!r}")
    return max(1, round(ms))


def _pause(value: Any) -> int:
    ms = milliseconds("use it", value)
    if not 0 <= ms <= 24 * 3600_000:
        raise ValueError(f"expected a pause of 0 to 86,400 seconds, not {value!r}")
    return round(ms)


def _factor(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 100:
        raise ValueError(f"expected a factor from 1 to 100, not {value!r}")
    return value


def _retry(value: Any) -> TaskOptionsRetry:
    retry = Retry(attempts=value) if isinstance(value, int) else value
    options: TaskOptionsRetry = {}
    if retry.attempts is not None:
        options["attempts"] = _whole(retry.attempts, 1, 1_000)
    if retry.backoff is not None:
        options["backoffMs"] = _pause(retry.backoff)
    if retry.factor is not None:
        options["factor"] = _factor(retry.factor)
    if retry.backoff_max is not None:
        options["backoffMaxMs"] = _pause(retry.backoff_max)
    return options


def _one_of(value: Any, first: Word, second: Word) -> Word:
    for word in (first, second):
        if value == word:
            return word
    raise ValueError(f"expected '{first}' or '{second}', not {value!r}")


def _limit(value: Any) -> TaskLimit:
    return {"name": _name(value.name), "max": _whole(value.max, 1, 1_000)}


def _name(value: Any) -> str:
    if not isinstance(value, str) or not name_pattern.match(value):
        raise ValueError(f"{value!r} is not a name")
    return value


def _labels(value: Any) -> dict[str, str]:
    labels = dict(value)
    if len(labels) > 64:
        raise ValueError("at most 64 labels are allowed")
    for label, text in labels.items():
        if not label_pattern.match(label) or not isinstance(text, str) or len(text) > 255:
            raise ValueError(f"{label!r}: {text!r} is not a label")
    return labels


_readers: dict[str, Callable[[Any], TaskOptions]] = {
    "retry": lambda value: {"retry": _retry(value)},
    "attempt_timeout": lambda value: {"attemptTimeoutMs": _duration(value, 30 * 24 * 3600_000)},
    "queue_timeout": lambda value: {"queueTimeoutMs": _duration(value, 2**53)},
    "priority": lambda value: {"priority": _whole(value, -100, 100)},
    "process": lambda value: {"process": _one_of(value, "warm", "fresh")},
    "pool": lambda value: {"pool": _name(value)},
    "labels": lambda value: {"labels": _labels(value)},
    "limit": lambda value: {"limit": _limit(value)},
    "on_lease_lost": lambda value: {"onLeaseLost": _one_of(value, "continue", "stop")},
}


def workflow_options(
    description: str | None,
    run_timeout: Seconds | None,
    isolate: bool,
    pool: str | None,
    labels: dict[str, str] | None,
) -> WorkflowOptions:
    """The options of a workflow as the manifest has them. Raises SaltError `BadRequest`."""
    options: WorkflowOptions = {} if description is None else {"description": description}
    try:
        if run_timeout is not None:
            options["runTimeoutMs"] = _duration(run_timeout, 2**53)
        if isolate:
            options["isolate"] = True
        if pool is not None:
            options["pool"] = _name(pool)
        if labels is not None:
            options["labels"] = _labels(labels)
    except (ValueError, TypeError) as error:
        raise SaltError("BadRequest", f"Cannot declare a workflow with these options: {error}.") from None
    return options


def checked_emit_key(key: str) -> str:
    """Raises SaltError `BadRequest`."""
    if isinstance(key, str) and 1 <= len(key) <= limits.call_key_chars_max:
        return key
    raise SaltError("BadRequest", f"Cannot emit under the key {key!r}: 1 to 200 characters are allowed.")
