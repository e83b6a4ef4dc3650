"""What runs a workflow's function, so that it comes to rest where it waits."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol

from .. import limits
from .._program.texts import Texts, oversize, refs_of, text_of
from .._values.decode import decode_value
from .._values.encode import EncodeOptions, encode_value
from ..errors import InvalidInput, OutputTooLarge, UndecodableValue
from .call import Deferred

if TYPE_CHECKING:
    from .._messages.task.from_agent import Work


class Body(Protocol):
    """The running function of one piece of work. Its end is told by the callback that it was made with."""

    def run(self, rested: Callable[[], None]) -> None:
        """Lets the function go on until it is at rest; `rested` is called then, on the loop's thread."""

    def wait_async(self, deferred: Deferred) -> Generator[Any, None, Any]:
        """From the function's code: the value, by awaiting."""

    def wait_sync(self, deferred: Deferred) -> Any:
        """From the function's code: the value, by waiting."""

    def close(self) -> None:
        """The function is let go of where it stands. It gets nothing more."""


class Abandoned(BaseException):
    """Unwinds a function whose work is parked, has ended or has gone elsewhere. Calls that it makes then have no
    effect."""


class RestartRequested(BaseException):
    """Unwinds a workflow that goes on as a new run. It is no failure, and need not be caught."""

    def __init__(self) -> None:
        super().__init__("restart(input) ends the workflow: let this pass")


def decode_input(work: Work, texts: Texts) -> Any:
    """The decoded input of a piece of work, with the outputs of refs in their places. Raises InvalidInput."""
    refs = None

    def read_ref(key: str) -> Any:
        nonlocal refs
        refs = refs_of(texts, work) if refs is None else refs
        if key not in refs:
            raise LookupError(f"the output of '{key}' did not come with it")
        return decode_value(text_of(texts, refs[key]))

    try:
        return decode_value(text_of(texts, work["input"]), read_ref)
    except (UndecodableValue, LookupError, OSError) as error:
        raise InvalidInput(f"The input of '{work['name']}' is not valid: {error}") from None


def output_text(name: str, output: Any, options: EncodeOptions | None = None) -> str:
    """Raises UnencodableValue or OutputTooLarge."""
    text = encode_value(output, options)
    size = oversize(text)
    if size is None:
        return text
    raise OutputTooLarge(
        f"The output of '{name}' has {size} bytes, at most {limits.value_bytes_max} (valueBytesMax) are allowed. "
        "Return it as a file."
    )
