"""Types of many members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._values.types import Map
from .scalars import Anything, Nothing
from .shape import BAD, Complaints, Definitions, Schema, Shape, kind_of, read_at, tagged


@dataclass
class Listed(Shape):
    """list, or tuple of any length."""

    cls: type
    member: Shape

    def schema(self, definitions: Definitions) -> Schema:
        return {"type": "array", "items": self.member.schema(definitions)}

    def read(self, value: Any, complaints: Complaints) -> Any:
        if not isinstance(value, (list, tuple)):
            return complaints.add(f"expected a list, not {kind_of(value)}")
        members = [read_at(self.member, member, index, complaints) for index, member in enumerate(value)]
        return BAD if any(member is BAD for member in members) else self.cls(members)

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, (list, tuple))

    def wants_files(self) -> bool:
        return self.member.wants_files()


@dataclass
class Tuple(Shape):
    """tuple with a type for each place, or a NamedTuple."""

    members: tuple[Shape, ...]
    cls: Any = None
    """The NamedTuple, whose fields may be given by name too."""
    defaults: Mapping[str, Any] = field(default_factory=dict)

    def schema(self, definitions: Definitions) -> Schema:
        count = len(self.members)
        least = count - len(self.defaults)
        schema: dict[str, Any] = {"type": "array", "minItems": least, "maxItems": count}
        if count > 0:
            schema["prefixItems"] = [member.schema(definitions) for member in self.members]
        return schema

    def read(self, value: Any, complaints: Complaints) -> Any:
        if self.cls is not None and isinstance(value, Mapping):
            value = [value[name] for name in self.cls._fields if name in value]
        if not isinstance(value, (list, tuple)):
            return complaints.add(f"expected a list of {len(self.members)}, not {kind_of(value)}")
        least = len(self.members) - len(self.defaults)
        if not least <= len(value) <= len(self.members):
            return complaints.add(f"expected {len(self.members)} members, not {len(value)}")
        read = [
            read_at(shape, member, index, complaints)
            for index, (shape, member) in enumerate(zip(self.members, value, strict=False))
        ]
        if any(member is BAD for member in read):
            return BAD
        return tuple(read) if self.cls is None else self.cls(*read)

    def is_exact(self, value: Any) -> bool:
        if self.cls is not None:
            return isinstance(value, self.cls)
        return isinstance(value, (list, tuple)) and len(value) == len(self.members)

    def wants_files(self) -> bool:
        return any(member.wants_files() for member in self.members)


@dataclass
class Members(Shape):
    """set or frozenset. A list is taken too."""

    cls: type
    member: Shape

    def schema(self, definitions: Definitions) -> Schema:
        members: Schema = {"type": "array", "items": self.member.schema(definitions)}
        tagged_set = tagged("set", members)
        return tagged_set if definitions.given else {"anyOf": [tagged_set, members]}

    def read(self, value: Any, complaints: Complaints) -> Any:
        if not isinstance(value, (set, frozenset, list, tuple)):
            return complaints.add(f"expected a set, not {kind_of(value)}")
        read = [read_at(self.member, member, f"<{index}>", complaints) for index, member in enumerate(value)]
        return BAD if any(member is BAD for member in read) else self.cls(read)

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, (set, frozenset))


@dataclass
class Keyed(Shape):
    """dict. With other keys than strings it travels as a map."""

    key: Shape
    value: Shape
    has_text_keys: bool
    cls: type = dict

    def schema(self, definitions: Definitions) -> Schema:
        pairs = tagged("map", {"type": "array"})
        if not self.has_text_keys:
            return pairs
        record: Schema = {"type": "object", "additionalProperties": self.value.schema(definitions)}
        if self.cls is Map:
            return pairs
        is_record = definitions.given and not isinstance(self.key, Anything)
        return record if is_record else {"anyOf": [record, pairs]}

    def read(self, value: Any, complaints: Complaints) -> Any:
        if not isinstance(value, Mapping):
            return complaints.add(f"expected an object, not {kind_of(value)}")
        read = self.cls()
        is_bad = False
        for index, (key, member) in enumerate(value.items()):
            name = read_at(self.key, key, f"<key {index}>", complaints)
            inner = read_at(self.value, member, key if isinstance(key, str) else f"<{index}>", complaints)
            if name is BAD or inner is BAD:
                is_bad = True
            else:
                read[name] = inner
        return BAD if is_bad else read

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, Mapping)

    def wants_files(self) -> bool:
        return self.value.wants_files()


@dataclass
class OneOf(Shape):
    """Union: the member that the value is of without conversion, else the first that takes it."""

    members: tuple[Shape, ...]

    def schema(self, definitions: Definitions) -> Schema:
        schemas = [member.schema(definitions) for member in self.members]
        return True if any(schema is True for schema in schemas) else {"anyOf": schemas}

    def read(self, value: Any, complaints: Complaints) -> Any:
        exact = [member for member in self.members if member.is_exact(value)]
        for member in [*exact, *(member for member in self.members if member not in exact)]:
            read = member.read(value, Complaints())
            if read is not BAD:
                return read
        # Where only one can have been meant, what it has to say is more telling.
        meant = exact or [member for member in self.members if not isinstance(member, Nothing)]
        if len(meant) == 1:
            return meant[0].read(value, complaints)
        return complaints.add(f"{kind_of(value)} fits none of the types that are allowed here")

    def is_exact(self, value: Any) -> bool:
        return any(member.is_exact(value) for member in self.members)

    def wants_files(self) -> bool:
        return any(member.wants_files() for member in self.members)
