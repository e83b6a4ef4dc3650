"""A call's argument as text, and the keys of the refs in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import limits
from .._program.texts import oversize
from .._values.encode import EncodeOptions, encode_value
from .._values.types import RefLike
from ..errors import SaltError


def encode_argument(what: str, argument: Any, is_own: Callable[[RefLike], bool]) -> tuple[str, list[str]]:
    """Raises UnencodableValue, or SaltError `TooLarge` beyond 64 MiB or 50,000 refs."""
    refs: dict[str, None] = {}

    def on_ref(ref: RefLike) -> None:
        if not is_own(ref):
            text = f"Cannot {what}: the ref '{ref.key}' in its input is of another run."
            raise SaltError("InvalidInput", text, next="Await it in the run that made it, and pass the value.")
        refs[ref.key] = None

    text = encode_value(argument, EncodeOptions(on_ref=on_ref))
    size = oversize(text)
    if size is not None:
        raise _too_large(what, f"has {size} bytes", "valueBytesMax", limits.value_bytes_max, "Pass it as a file.")
    if len(refs) > limits.refs_per_call_max:
        advice = "Join them in groups by further tasks."
        raise _too_large(what, f"holds {len(refs)} refs", "refsPerCallMax", limits.refs_per_call_max, advice)
    return text, list(refs)


def _too_large(what: str, found: str, limit: str, most: int, advice: str) -> SaltError:
    text = f"Cannot {what}: its input {found}, at most {most} ({limit}) are allowed."
    return SaltError("TooLarge", text, next=advice)
