"""Types with named fields: dataclasses, TypedDicts, and the parameters of a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .shape import BAD, Complaints, Definitions, Schema, Shape, kind_of, read_at


@dataclass(frozen=True)
class Field:
    """One field. One that is not required is left out where it is absent, and its owner supplies the default."""

    shape: Shape
    required: bool


@dataclass
class Record(Shape):
    """An object with known fields. `fields` is filled after the shape is made, since a type may contain itself."""

    name: str
    make: Callable[[dict[str, Any]], Any]
    take: Callable[[Any], Mapping[str, Any] | None]
    """The fields of an instance, or None for what is none."""
    fields: dict[str, Field] = field(default_factory=dict)
    closed: bool = False
    """Refuses fields that it does not know, as Python would."""
    _walking: bool = False

    def schema(self, definitions: Definitions) -> Schema:
        return definitions.named(self, self.name, lambda: self._schema(definitions))

    def _schema(self, definitions: Definitions) -> Schema:
        required = [name for name, one in self.fields.items() if one.required]
        return {
            "type": "object",
            "properties": {name: one.shape.schema(definitions) for name, one in self.fields.items()},
            **({"required": required} if required else {}),
            **({"additionalProperties": False} if self.closed else {}),
        }

    def read(self, value: Any, complaints: Complaints) -> Any:
        taken = self.take(value)
        given = taken if taken is not None else value
        if not isinstance(given, Mapping):
            return complaints.add(f"expected an object, not {kind_of(value)}")
        read: dict[str, Any] = {}
        for name, one in self.fields.items():
            if name in given:
                read[name] = read_at(one.shape, given[name], name, complaints)
            elif one.required:
                complaints.steps.append(name)
                read[name] = complaints.add("is missing")
                complaints.steps.pop()
        unknown = [name for name in given if name not in self.fields] if self.closed else []
        for name in unknown:
            complaints.steps.append(str(name))
            complaints.add("is not known here")
            complaints.steps.pop()
        if unknown or any(part is BAD for part in read.values()):
            return BAD
        return self._made(value, read, complaints, is_instance=taken is not None)

    def _made(self, value: Any, read: dict[str, Any], complaints: Complaints, *, is_instance: bool) -> Any:
        if is_instance and all(getattr(value, name, BAD) is part for name, part in read.items()):
            return value
        try:
            return self.make(read)
        except (ValueError, TypeError) as error:
            # What a class itself refuses, such as in __post_init__.
            return complaints.add(str(error))

    def is_exact(self, value: Any) -> bool:
        return self.take(value) is not None

    def wants_files(self) -> bool:
        if self._walking:
            return False
        self._walking = True
        wants = any(one.shape.wants_files() for one in self.fields.values())
        self._walking = False
        return wants
