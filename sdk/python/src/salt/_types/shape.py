"""What is known of a type: its JSON Schema, and how a decoded value becomes one of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from .._values.paths import Step, path_text

Schema = dict[str, Any] | Literal[True]


class _Bad:
    def __repr__(self) -> str:
        return "BAD"


BAD: Final[Any] = _Bad()
"""Stands for a value that does not fit, whose complaint is noted."""

complaints_max = 50


@dataclass
class Complaints:
    """What does not fit, each with its place. Places are kept as one path that is pushed and popped while reading."""

    steps: list[Step] = field(default_factory=list)
    found: list[dict[str, str]] = field(default_factory=list)

    def add(self, message: str) -> Any:
        if len(self.found) < complaints_max:
            self.found.append({"path": path_text(self.steps), "message": message})
        return BAD

    def text(self) -> str:
        """The first complaints, in a sentence."""
        return "; ".join(f"{one['path']}: {one['message']}" for one in self.found[:3])


class Shape:
    """One type. Shapes are made once for each type hint, and may contain themselves."""

    def schema(self, definitions: Definitions) -> Schema:
        """JSON Schema (draft 2020-12) of the encoded form."""
        raise NotImplementedError

    def read(self, value: Any, complaints: Complaints) -> Any:
        """The value as one of the type, or BAD. Takes decoded values, and values that are of the type already."""
        raise NotImplementedError

    def is_exact(self, value: Any) -> bool:
        """Whether the value is of this type without conversion: which member of a union it is of."""
        return False

    def wants_files(self) -> bool:
        """Whether reading may have to open files."""
        return False


class Definitions:
    """Schemas of types that contain themselves, by name, beside the schema in which they are.

    `given` asks for what values of a type are on the wire, in place of all that is read as one.
    """

    def __init__(self, *, given: bool = False) -> None:
        self.given = given
        self.schemas: dict[str, Schema] = {}
        self._names: dict[int, str] = {}
        self._open: set[int] = set()
        self._used: set[int] = set()

    def named(self, shape: Shape, name: str, make: Callable[[], Schema]) -> Schema:
        """The schema of a record: in its place, or by name where it is met inside of itself."""
        if id(shape) in self._open:
            self._used.add(id(shape))
            return {"$ref": f"#/$defs/{self._name(shape, name)}"}
        if id(shape) in self._used:
            return {"$ref": f"#/$defs/{self._name(shape, name)}"}
        self._open.add(id(shape))
        schema = make()
        self._open.discard(id(shape))
        if id(shape) not in self._used:
            return schema
        self.schemas[self._name(shape, name)] = schema
        return {"$ref": f"#/$defs/{self._name(shape, name)}"}

    def _name(self, shape: Shape, name: str) -> str:
        if id(shape) not in self._names:
            taken = set(self._names.values())
            count = 1
            while (unique := name if count == 1 else f"{name}{count}") in taken:
                count += 1
            self._names[id(shape)] = unique
        return self._names[id(shape)]


def schema_of(shape: Shape, *, given: bool = False) -> Schema:
    """The whole JSON Schema of a type: of what is read as one, or of what is given as one."""
    definitions = Definitions(given=given)
    schema = shape.schema(definitions)
    if isinstance(schema, dict) and definitions.schemas:
        return {**schema, "$defs": definitions.schemas}
    return schema


def read_at(shape: Shape, value: Any, step: Step, complaints: Complaints) -> Any:
    """Reads a part of a value."""
    complaints.steps.append(step)
    try:
        return shape.read(value, complaints)
    finally:
        complaints.steps.pop()


def tagged(tag: str, v: Schema) -> dict[str, Any]:
    """The tagged form in which a type that JSON lacks travels."""
    return {
        "type": "object",
        "properties": {"$salt": {"const": tag}, "v": v},
        "required": ["$salt", "v"],
        "additionalProperties": False,
    }


def kind_of(value: Any) -> str:
    """What people call the value's type."""
    if value is None:
        return "null"
    return {"dict": "an object", "list": "a list", "str": "a string", "bool": "a boolean"}.get(
        type(value).__name__, type(value).__name__
    )
