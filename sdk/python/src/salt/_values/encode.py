"""The encoding of values: JSON, with `{"$salt":"<tag>","v":…}` for what JSON lacks."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from json.encoder import encode_basestring as _quote
from typing import Any

from .. import limits
from ..errors import RemoteError, UnencodableValue
from .numbers import number_text
from .paths import BadValue, Step, half_pair
from .types import BigInt, FileValue, Map, RefLike, decimal_text, escaped_key


@dataclasses.dataclass(frozen=True)
class EncodeOptions:
    """What an encoder tells of what it meets."""

    on_ref: Callable[[RefLike], None] | None = None
    """Called for each ref, also for repeated ones. May raise when the ref has no meaning here."""
    on_file: Callable[[FileValue], None] | None = None
    to_file: Callable[[Any], FileValue | None] | None = None
    """Makes a file of an array or a table; None for what is neither."""


def encode_value(value: Any, options: EncodeOptions | None = None) -> str:
    """The text that encodes `value`.

    - Ints beyond ±(2**53 - 1) are `bigint`; floats are finite, and `1.0` is `1`.
    - datetime (with a zone), bytes, Decimal, UUID, timedelta, set, Map, FileValue, exceptions and refs have tags.
    - A dict with other keys than strings is a `map`; dataclasses, Pydantic models and TypedDicts are objects; tuples
      are lists; enums are their values; `date` and `time` are ISO 8601 strings.
    - Members of a set are written in order (numbers, strings, the rest), as Python's own order differs by process.

    Raises UnencodableValue, which names the path inside the value.
    """
    parts: list[str] = []
    writer = _Writer(parts.append, options or EncodeOptions())
    try:
        writer.write(value)
    except BadValue as bad:
        raise UnencodableValue(bad.path, bad.what, bad.next) from None
    except RecursionError:
        raise UnencodableValue("$", "it is nested too deep for this stack", "Pass it flatter, or as text.") from None
    return "".join(parts)


class _Writer:
    __slots__ = ("above", "options", "put")

    def __init__(self, put: Callable[[str], Any], options: EncodeOptions) -> None:
        self.put = put
        self.options = options
        self.above: set[int] = set()

    def write(self, value: Any) -> None:
        writer = _writers.get(type(value)) or _writer_of(type(value))
        writer(self, value)

    def tag(self, name: str, text: str) -> None:
        self.put(f'{{"$salt":"{name}","v":{text}}}')

    def string(self, text: str) -> None:
        if not text.isascii() and half_pair.search(text):
            raise BadValue("the string holds half of a surrogate pair", "Pass it as bytes.")
        self.put(_quote(text))

    def integer(self, number: int) -> None:
        if -limits.safe_integer_max <= number <= limits.safe_integer_max:
            self.put(int.__repr__(number))
        else:
            self.bigint(number)

    def bigint(self, number: int) -> None:
        if number.bit_length() > 14_284:
            raise BadValue("the int has more than 4,300 digits", "Pass it as bytes or a string.")
        self.tag("bigint", f'"{int.__repr__(number)}"')

    def members(self, values: Iterable[Any], step: Callable[[int], Step]) -> None:
        index = 0
        self.put("[")
        try:
            for index, member in enumerate(values):
                if index > 0:
                    self.put(",")
                self.write(member)
        except BadValue as bad:
            bad.steps.append(step(index))
            raise
        self.put("]")

    def listed(self, values: Iterable[Any]) -> None:
        with _Inside(self, values):
            self.members(values, lambda index: index)

    def record(self, record: Mapping[str, Any]) -> None:
        with _Inside(self, record):
            self.fields(record.items())

    def fields(self, fields: Iterable[tuple[str, Any]]) -> None:
        key = ""
        separator = "{"
        try:
            for key, value in fields:
                self.put(separator)
                separator = ","
                self.string(f"${key}" if key.startswith("$") and escaped_key.match(key) else key)
                self.put(":")
                self.write(value)
        except BadValue as bad:
            bad.steps.append(key)
            raise
        self.put("{}" if separator == "{" else "}")

    def mapping(self, value: dict[Any, Any]) -> None:
        if all(isinstance(key, str) for key in value):
            self.record(value)
        else:
            self.pairs(value)

    def pairs(self, value: Mapping[Any, Any]) -> None:
        step: Step = 0
        with _Inside(self, value):
            self.put('{"$salt":"map","v":[')
            try:
                for index, (key, member) in enumerate(value.items()):
                    step = f"<key {index}>"
                    self.put("[" if index == 0 else ",[")
                    self.write(key)
                    self.put(",")
                    step = f"<{index}>"
                    self.write(member)
                    self.put("]")
            except BadValue as bad:
                bad.steps.append(step)
                raise
            self.put("]}")

    def members_of_set(self, value: Iterable[Any]) -> None:
        with _Inside(self, value):
            self.put('{"$salt":"set","v":')
            self.members(sorted(value, key=_order), lambda index: f"<{index}>")
            self.put("}")

    def model(self, value: Any) -> None:
        with _Inside(self, value):
            self.fields((field.name, getattr(value, field.name)) for field in dataclasses.fields(value))

    def file(self, file: FileValue) -> None:
        if self.options.on_file is not None:
            self.options.on_file(file)
        about: dict[str, Any] = {"sha256": file.sha256, "bytes": file.bytes}
        if file.name is not None:
            about["name"] = file.name
        if file.media_type is not None:
            about["mediaType"] = file.media_type
        self.put('{"$salt":"file","v":')
        self.fields(about.items())
        self.put("}")

    def ref(self, ref: RefLike) -> None:
        if self.options.on_ref is not None:
            self.options.on_ref(ref)
        self.put('{"$salt":"ref","v":')
        self.string(ref.key)
        self.put("}")

    def error(self, error: BaseException) -> None:
        from ..failure import cause_of, message_of, type_of

        with _Inside(self, error):
            about: dict[str, Any] = {"type": type_of(error), "message": message_of(error)}
            cause = cause_of(error)
            if cause is not None:
                about["cause"] = cause
            self.put('{"$salt":"error","v":')
            self.fields(about.items())
            self.put("}")

    def other(self, value: Any) -> None:
        """What is known by the package it comes from, or not at all."""
        try:
            file = None if self.options.to_file is None else self.options.to_file(value)
        except (ValueError, TypeError, OSError) as error:
            raise BadValue(f"{_article(type(value))} cannot be saved as a file: {error}") from error
        if file is not None:
            self.file(file)
            return
        if type(value).__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
            self.write(value.item())
        elif hasattr(type(value), "model_dump"):
            with _Inside(self, value):
                self.fields(value.model_dump(mode="python", by_alias=True).items())
        else:
            raise BadValue(f"{_article(type(value))} has no encoding", _advice(value))


class _Inside:
    """Guards a container against cycles and depth while its members are written."""

    __slots__ = ("id", "writer")

    def __init__(self, writer: _Writer, value: Any) -> None:
        self.writer = writer
        self.id = id(value)

    def __enter__(self) -> None:
        above = self.writer.above
        if self.id in above:
            raise BadValue("it contains itself", "Break the cycle.")
        if len(above) >= limits.depth_max:
            raise BadValue(f"it is nested more than {limits.depth_max} levels deep", "Pass it flatter, or as text.")
        above.add(self.id)

    def __exit__(self, *_: object) -> None:
        self.writer.above.discard(self.id)


def _article(cls: type) -> str:
    name = cls.__name__
    return f"an instance of {name}" if cls.__module__ != "builtins" else f"a {name}"


def _advice(value: Any) -> str:
    if hasattr(value, "__array__") or hasattr(value, "__arrow_c_stream__"):
        return "Arrays and tables leave a task as files, in its output: a workflow passes them on."
    return "Leave it out, or pass what it stands for."


def _order(member: Any) -> tuple[int, Any]:
    if isinstance(member, (bool, int, float)) and not isinstance(member, enum.Enum):
        return (0, (member, ""))
    if isinstance(member, str) and not isinstance(member, enum.Enum):
        return (1, (0, member))
    return (2, (0, encode_value(member)))


def _date_text(value: dt.datetime) -> str:
    if value.utcoffset() is None:
        raise BadValue("the datetime has no time zone", "Use datetime.now(timezone.utc), or set its tzinfo.")
    try:
        value = value.astimezone(dt.timezone.utc)
    except OverflowError:
        raise BadValue("the datetime is not in the years 1 to 9999", "Use None or a string for it.") from None
    digits = f"{value.microsecond // 1000:03}" if value.microsecond % 1000 == 0 else f"{value.microsecond:06}"
    return f"{value.year:04}-{value:%m-%dT%H:%M:%S}.{digits}Z"


def _duration_text(value: dt.timedelta) -> str:
    microseconds = value // dt.timedelta(microseconds=1)
    whole, part = divmod(abs(microseconds), 1_000_000)
    fraction = f".{part:06}".rstrip("0") if part else ""
    return f"{'-' if microseconds < 0 else ''}PT{whole}{fraction}S"


def _decimal_text(value: Decimal) -> str:
    text = str(value)
    if len(text) <= limits.number_chars_max and decimal_text.match(text):
        return text
    raise BadValue(f"the Decimal {text[:40]} has no encoding", "Use None or a string for it.")


_Write = Callable[[_Writer, Any], None]

_writers: dict[type, _Write] = {
    type(None): lambda writer, value: writer.put("null"),
    bool: lambda writer, value: writer.put("true" if value else "false"),
    str: _Writer.string,
    int: _Writer.integer,
    float: lambda writer, value: writer.put(number_text(value)),
    BigInt: _Writer.bigint,
    list: _Writer.listed,
    tuple: _Writer.listed,
    Map: _Writer.pairs,
    dict: _Writer.mapping,
    set: _Writer.members_of_set,
    frozenset: _Writer.members_of_set,
    dt.datetime: lambda writer, value: writer.tag("date", f'"{_date_text(value)}"'),
    dt.timedelta: lambda writer, value: writer.tag("duration", f'"{_duration_text(value)}"'),
    dt.date: lambda writer, value: writer.string(value.isoformat()),
    dt.time: lambda writer, value: writer.string(value.isoformat()),
    Decimal: lambda writer, value: writer.tag("decimal", f'"{_decimal_text(value)}"'),
    uuid.UUID: lambda writer, value: writer.tag("uuid", f'"{value}"'),
    bytes: lambda writer, value: writer.tag("bytes", f'"{base64.b64encode(value).decode()}"'),
    FileValue: _Writer.file,
}
_writers[bytearray] = _writers[memoryview] = _writers[bytes]


def _writer_of(cls: type) -> _Write:
    """The writer of a class that is met for the first time. Enums come before the types they may derive from."""
    writer = _find_writer(cls)
    # Classes are many only where a program makes them as it goes: these must not be kept for ever.
    if len(_writers) < 10_000:
        _writers[cls] = writer
    return writer


def _find_writer(cls: type) -> _Write:
    if issubclass(cls, enum.Enum):
        return lambda writer, value: writer.write(value.value)
    if issubclass(cls, RefLike):
        return _Writer.ref
    if issubclass(cls, BaseException):
        return _Writer.error
    if hasattr(cls, "model_dump"):
        return _Writer.other
    if dataclasses.is_dataclass(cls) and cls is not FileValue:
        return _Writer.model
    for base in cls.__mro__[1:]:
        if base in _writers and base is not object:
            return _writers[base]
    if issubclass(cls, Mapping):
        return _Writer.pairs if not issubclass(cls, dict) else _Writer.mapping
    return _Writer.other


__all__ = ["EncodeOptions", "RemoteError", "encode_value"]
