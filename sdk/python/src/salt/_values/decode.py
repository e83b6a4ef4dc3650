"""The reading of encoded values."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import json
import re
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from .. import limits
from ..errors import RemoteError, UndecodableValue
from .paths import BadValue, Step, half_pair, quoted
from .types import BigInt, FileValue, Map, bigint_text, decimal_text, escaped_key, sha256_text

ReadRef = Callable[[str], Any]


def decode_value(text: str, ref: ReadRef | None = None) -> Any:
    """The value that `text` encodes. `ref` gives the value that a call's key stands for; without it a ref is refused.

    `bigint` becomes a BigInt, `map` a Map, `error` a RemoteError; keys of maps and members of sets that are lists
    become tuples. Raises UndecodableValue, which names the path inside the value.
    """
    try:
        parsed = _parse(text)
        return _from_wire(parsed, ref, 0) if _needs_walk(text) else parsed
    except BadValue as bad:
        raise UndecodableValue(bad.path, bad.what) from None
    except RecursionError:
        raise UndecodableValue("$", f"it is nested more than {limits.depth_max} levels deep") from None


_escapes = re.compile(r"\\u(00|[dD])")
_long_digits = re.compile(r"[0-9]{16}")


def _needs_walk(text: str) -> bool:
    """A tag or an escaped key may stand there, perhaps spelt with escapes, or half a surrogate pair."""
    return "$salt" in text or ("\\u" in text and _escapes.search(text) is not None)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _integer(text: str) -> int | float:
    """As a double holds it, which is what the other languages read."""
    return int(text) if len(text) < 16 or abs(int(text[:20])) <= limits.safe_integer_max else float(text)


def _parse(text: str) -> Any:
    try:
        if _long_digits.search(text):
            return json.loads(text, parse_constant=_refuse, parse_int=_integer)
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise BadValue("it is not JSON") from error


def _from_wire(wire: Any, ref: ReadRef | None, depth: int) -> Any:
    if isinstance(wire, str):
        if half_pair.search(wire):
            raise BadValue("the string holds half of a surrogate pair")
        return wire
    if not isinstance(wire, (list, dict)):
        return wire
    if depth >= limits.depth_max:
        raise BadValue(f"it is nested more than {limits.depth_max} levels deep")
    if isinstance(wire, list):
        return _list_from_wire(wire, ref, depth)
    if "$salt" in wire:
        return _tagged_from_wire(wire, ref, depth)
    record: dict[str, Any] = {}
    key: str = ""
    try:
        for key, value in wire.items():
            if half_pair.search(key):
                raise BadValue("the key holds half of a surrogate pair")
            record[key[1:] if escaped_key.match(key) else key] = _from_wire(value, ref, depth + 1)
    except BadValue as bad:
        bad.steps.append(key)
        raise
    return record


def _list_from_wire(
    wire: list[Any], ref: ReadRef | None, depth: int, step: Callable[[int], Step] = lambda index: index
) -> list[Any]:
    members: list[Any] = []
    try:
        for member in wire:
            members.append(_from_wire(member, ref, depth + 1))
    except BadValue as bad:
        bad.steps.append(step(len(members)))
        raise
    return members


def _tagged_from_wire(wire: dict[str, Any], ref: ReadRef | None, depth: int) -> Any:
    if len(wire) != 2 or "v" not in wire:
        raise BadValue('a tagged form has exactly "$salt" and "v"')
    tag, v = wire["$salt"], wire["v"]
    read = _readers.get(tag) if isinstance(tag, str) else None
    if read is not None:
        return read(v)
    nested = _nested_readers.get(tag) if isinstance(tag, str) else None
    if nested is None:
        raise BadValue(f"the tag {quoted(tag) if isinstance(tag, str) else json.dumps(tag)} is not known")
    return nested(v, ref, depth)


def _text(v: Any, what: str, accepts: Callable[[str], Any]) -> str:
    if isinstance(v, str) and accepts(v):
        return v
    raise BadValue(f"it is not {what}")


_date_pattern = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))\Z", re.ASCII)
_uuid_pattern = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z", re.IGNORECASE)
_duration_pattern = re.compile(r"(-?)PT(\d{1,15})(?:\.(\d{1,9}))?S\Z", re.ASCII)


def read_date(v: Any) -> dt.datetime:
    """A datetime in UTC, to the microsecond. Raises BadValue."""
    what = "it is not an RFC 3339 date and time"
    match = _date_pattern.match(v) if isinstance(v, str) else None
    if match is None:
        raise BadValue(what)
    day, time, fraction, sign, hours, minutes = match.groups()
    try:
        value = dt.datetime.fromisoformat(f"{day}T{time}.{(fraction or '').ljust(6, '0')[:6]}+00:00")
        offset = dt.timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
        return value + offset if sign == "-" else value - offset
    except (ValueError, OverflowError):
        raise BadValue(what) from None


def _read_bytes(v: Any) -> bytes:
    try:
        return base64.b64decode(_text(v, "base64", str.isascii), validate=True)
    except binascii.Error:
        raise BadValue("it is not base64") from None


def _read_duration(v: Any) -> dt.timedelta:
    match = _duration_pattern.match(v) if isinstance(v, str) else None
    if match is None:
        raise BadValue('it is not a duration such as "PT1.5S"')
    sign, seconds, fraction = match.groups()
    try:
        value = dt.timedelta(seconds=int(seconds), microseconds=int((fraction or "").ljust(6, "0")[:6]))
    except OverflowError:
        raise BadValue("the duration is too long for a timedelta") from None
    return -value if sign else value


def _is_bigint(text: str) -> bool:
    return len(text) <= limits.number_chars_max and bigint_text.match(text) is not None


def _is_decimal(text: str) -> bool:
    return len(text) <= limits.number_chars_max and decimal_text.match(text) is not None


def _read_file(v: Any) -> FileValue:
    about = v if isinstance(v, dict) else {}
    digest, size = about.get("sha256"), about.get("bytes")
    if not isinstance(digest, str) or not sha256_text.match(digest) or type(size) is not int or size < 0:
        raise BadValue("it is not a file: a digest and a size")
    name, media_type = about.get("name"), about.get("mediaType")
    if not all(part is None or isinstance(part, str) for part in (name, media_type)):
        raise BadValue("the file's name or media type is not a string")
    return FileValue(digest, size, name, media_type)


_readers: dict[str, Callable[[Any], Any]] = {
    "date": read_date,
    "bytes": _read_bytes,
    "bigint": lambda v: BigInt(_text(v, "a whole number of at most 4,300 digits", _is_bigint)),
    "decimal": lambda v: Decimal(_text(v, "a decimal number of at most 4,300 characters", _is_decimal)),
    "uuid": lambda v: uuid.UUID(_text(v, "a UUID", _uuid_pattern.match)),
    "duration": _read_duration,
    "file": _read_file,
}


def _listed(v: Any) -> list[Any]:
    if isinstance(v, list):
        return v
    raise BadValue("it is not a list")


def _read_map(v: Any, ref: ReadRef | None, depth: int) -> Map[Any, Any]:
    step: Step = 0
    value: Map[Any, Any] = Map()
    try:
        for index, pair in enumerate(_listed(v)):
            step = f"<{index}>"
            if not isinstance(pair, list) or len(pair) != 2:
                raise BadValue("it is not a pair")
            step = f"<key {index}>"
            key = _hashable(_from_wire(pair[0], ref, depth + 1))
            step = f"<{index}>"
            value[key] = _from_wire(pair[1], ref, depth + 1)
    except BadValue as bad:
        if step != 0:
            bad.steps.append(step)
        raise
    return value


def _read_set(v: Any, ref: ReadRef | None, depth: int) -> set[Any]:
    members = _list_from_wire(_listed(v), ref, depth, lambda index: f"<{index}>")
    return {_hashable(member) for member in members}


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_hashable(member) for member in value)
    if isinstance(value, set):
        return frozenset(value)
    if isinstance(value, dict):
        raise BadValue("an object cannot be a key or a member of a set in Python")
    return value


def _read_ref(v: Any, ref: ReadRef | None, depth: int) -> Any:
    if not isinstance(v, str):
        raise BadValue("it is not a call key")
    if ref is None:
        raise BadValue("a ref has no meaning here")
    return ref(v)


def _read_error(v: Any, ref: ReadRef | None, depth: int) -> RemoteError:
    about = v if isinstance(v, dict) else {}
    if not isinstance(about.get("type"), str) or not isinstance(about.get("message"), str):
        raise BadValue("it is not an error: a type and a message")
    error = RemoteError({"type": about["type"], "message": about["message"], "retryable": True})
    if "cause" in about:
        try:
            cause = _from_wire(about["cause"], ref, depth + 1)
        except BadValue as bad:
            bad.steps.append("cause")
            raise
        if isinstance(cause, BaseException):
            error.__cause__ = cause
    return error


_nested_readers: dict[str, Callable[[Any, ReadRef | None, int], Any]] = {
    "map": _read_map,
    "set": _read_set,
    "ref": _read_ref,
    "error": _read_error,
}
