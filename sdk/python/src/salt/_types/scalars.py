"""Types without parts."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import enum
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from .._values.decode import read_date
from .._values.paths import BadValue
from .._values.types import BigInt, FileValue
from ..errors import RemoteError
from .shape import BAD, Complaints, Definitions, Schema, Shape, kind_of, tagged

Number = TypeVar("Number", int, float)


class Anything(Shape):
    """No hint, Any or object: the decoded value as it is."""

    def schema(self, definitions: Definitions) -> Schema:
        return True

    def read(self, value: Any, complaints: Complaints) -> Any:
        return value

    def is_exact(self, value: Any) -> bool:
        return True


class Nothing(Shape):
    """None."""

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": "null"}

    def read(self, value: Any, complaints: Complaints) -> Any:
        return None if value is None else complaints.add(f"expected null, not {kind_of(value)}")

    def is_exact(self, value: Any) -> bool:
        return value is None


@dataclass(frozen=True)
class Scalar(Shape):
    """A type of which a value is taken as it is, or made by `convert`, which raises ValueError for what does not
    fit."""

    cls: type
    name: str
    form: Schema
    convert: Callable[[Any], Any]
    also: tuple[Schema, ...] = ()
    """Forms that are read too, but never written."""

    def schema(self, definitions: Definitions) -> Schema:
        return {"anyOf": [self.form, *self.also]} if self.also and not definitions.given else self.form

    def read(self, value: Any, complaints: Complaints) -> Any:
        if type(value) is self.cls:
            return value
        try:
            return self.convert(value)
        except (ValueError, TypeError, BadValue):
            return complaints.add(f"expected {self.name}, not {kind_of(value)}")

    def is_exact(self, value: Any) -> bool:
        return type(value) is self.cls


def _none(value: Any) -> Any:
    raise ValueError


def _instance(cls: type) -> Callable[[Any], Any]:
    return lambda value: value if isinstance(value, cls) else _none(value)


def _int(value: Any) -> int:
    if isinstance(value, bool):
        raise ValueError
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _unboxed(value, int)


def _float(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError
    return float(value) if isinstance(value, (int, float)) else _unboxed(value, float)


def _unboxed(value: Any, cls: type[Number]) -> Number:
    """The number in a NumPy scalar."""
    inner = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else None
    if not isinstance(inner, (int, float)) or isinstance(inner, bool):
        raise ValueError
    return cls(inner)


def _bytes(value: Any) -> bytes:
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else _none(value)
    except binascii.Error:
        raise ValueError from None


def _datetime(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        return read_date(value)
    raise ValueError


def _date(value: Any) -> dt.date:
    if isinstance(value, str):
        return dt.date.fromisoformat(value)
    raise ValueError


def _time(value: Any) -> dt.time:
    return dt.time.fromisoformat(value) if isinstance(value, str) else _none(value)


def _decimal(value: Any) -> Decimal:
    try:
        allowed = isinstance(value, (int, str, Decimal)) and not isinstance(value, bool)
        return Decimal(value) if allowed else _none(value)
    except InvalidOperation:
        raise ValueError from None


def _uuid(value: Any) -> uuid.UUID:
    return uuid.UUID(value) if isinstance(value, str) else _none(value)


_any_file = tagged("file", {"type": "object", "required": ["sha256", "bytes"]})

scalars: dict[Any, Shape] = {
    bool: Scalar(bool, "a boolean", {"type": "boolean"}, _none),
    int: Scalar(
        int,
        "a whole number",
        {"anyOf": [{"type": "integer"}, tagged("bigint", {"type": "string"})]},
        _int,
    ),
    float: Scalar(float, "a number", {"type": "number"}, _float),
    str: Scalar(str, "a string", {"type": "string"}, lambda value: _none(value)),
    BigInt: Scalar(
        BigInt,
        "a whole number",
        tagged("bigint", {"type": "string"}),
        lambda value: BigInt(_int(value)),
        also=({"type": "integer"},),
    ),
    bytes: Scalar(bytes, "bytes", tagged("bytes", {"type": "string"}), _bytes, also=({"type": "string"},)),
    dt.datetime: Scalar(
        dt.datetime,
        "a date and time",
        tagged("date", {"type": "string", "format": "date-time"}),
        _datetime,
        also=({"type": "string", "format": "date-time"},),
    ),
    dt.date: Scalar(dt.date, "a date such as 2026-03-01", {"type": "string", "format": "date"}, _date),
    dt.time: Scalar(dt.time, "a time such as 12:34:56", {"type": "string", "format": "time"}, _time),
    dt.timedelta: Scalar(dt.timedelta, "a duration", tagged("duration", {"type": "string"}), _instance(dt.timedelta)),
    Decimal: Scalar(
        Decimal,
        "a decimal number",
        tagged("decimal", {"type": "string"}),
        _decimal,
        also=({"type": "string"}, {"type": "integer"}),
    ),
    uuid.UUID: Scalar(
        uuid.UUID,
        "a UUID",
        tagged("uuid", {"type": "string"}),
        _uuid,
        also=({"type": "string", "format": "uuid"},),
    ),
    FileValue: Scalar(FileValue, "a file", _any_file, _instance(FileValue)),
    Exception: Scalar(RemoteError, "an error", tagged("error", {"type": "object"}), _instance(BaseException)),
    type(None): Nothing(),
    None: Nothing(),
    Any: Anything(),
    object: Anything(),
}
scalars[BaseException] = scalars[Exception]


@dataclass(frozen=True)
class Choice(Shape):
    """Literal: one of these values."""

    values: tuple[Any, ...]

    def schema(self, definitions: Definitions) -> Schema:
        return {"enum": list(self.values)}

    def read(self, value: Any, complaints: Complaints) -> Any:
        for choice in self.values:
            if type(choice) is type(value) and choice == value:
                return choice
        return complaints.add(f"expected one of {', '.join(repr(choice) for choice in self.values)}")

    def is_exact(self, value: Any) -> bool:
        return self.read(value, Complaints()) is not BAD


@dataclass(frozen=True)
class Enumeration(Shape):
    """An enum: its members travel as their values."""

    cls: type[enum.Enum]

    def schema(self, definitions: Definitions) -> Schema:
        return {"enum": [member.value for member in self.cls]}

    def read(self, value: Any, complaints: Complaints) -> Any:
        if isinstance(value, self.cls):
            return value
        for member in self.cls:
            if type(member.value) is type(value) and member.value == value:
                return member
        return complaints.add(f"expected one of {', '.join(repr(member.value) for member in self.cls)}")

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, self.cls)
