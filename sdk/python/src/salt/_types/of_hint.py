"""The shape of a type hint."""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import enum
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from .._values.types import Map
from ..errors import SaltError
from .containers import Keyed, Listed, Members, OneOf, Tuple
from .external import PydanticModel, Table, file_kind_of
from .records import Field, Record
from .scalars import Anything, Choice, Enumeration, scalars
from .shape import Shape

_known: dict[Any, Shape] = {}

_lists = (list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection)
_mappings = (dict, abc.Mapping, abc.MutableMapping, Map)
_not_required = {getattr(typing, name, None) for name in ("Required", "NotRequired", "ReadOnly")} - {None}


def shape_of(hint: Any) -> Shape:
    """The shape of a type hint, made once. Raises SaltError `InvalidProject` for a type that has no encoding."""
    try:
        known = _known.get(hint)
    except TypeError:
        return _make(hint)
    if known is None:
        known = _make(hint)
        _known.setdefault(hint, known)
    return known


def _make(hint: Any) -> Shape:
    if hint in scalars:
        return scalars[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated or origin in _not_required:
        return shape_of(args[0])
    if origin is Literal:
        return Choice(args)
    if origin is Union or origin is types.UnionType:
        return OneOf(tuple(shape_of(arg) for arg in args))
    supertype = getattr(hint, "__supertype__", None)
    if supertype is not None:
        return shape_of(supertype)
    if isinstance(hint, typing.TypeVar):
        return Anything()
    if hasattr(hint, "__value__"):
        return shape_of(hint.__value__)
    cls = origin if origin is not None else hint
    shape = _of_container(cls, args) if isinstance(cls, type) else None
    if shape is None and isinstance(cls, type):
        shape = _of_class(hint if _is_pydantic(cls) else cls)
    if shape is None:
        name = getattr(hint, "__name__", None) or repr(hint)
        raise SaltError(
            "InvalidProject",
            f"the type {name} has no encoding",
            next="Use a dataclass, a TypedDict or the types that docs/python.md lists.",
        )
    return shape


def _of_container(cls: type, args: tuple[Any, ...]) -> Shape | None:
    first = shape_of(args[0]) if args and args[0] is not Ellipsis else Anything()
    if cls in _lists:
        return Listed(list, first)
    if cls is tuple:
        if not args or args[-1] is Ellipsis:
            return Listed(tuple, first)
        return Tuple(tuple(shape_of(arg) for arg in args if arg != ()))
    if cls in (set, abc.Set, abc.MutableSet):
        return Members(set, first)
    if cls is frozenset:
        return Members(frozenset, first)
    if cls in _mappings:
        value = shape_of(args[1]) if len(args) > 1 else Anything()
        has_text_keys = not args or args[0] in (str, Any) or _is_text(args[0])
        return Keyed(first, value, has_text_keys, Map if cls is Map else dict)
    return None


def _is_text(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return all(isinstance(value, str) for value in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, str)


def _is_pydantic(cls: type) -> bool:
    return hasattr(cls, "__pydantic_validator__") or hasattr(cls, "model_validate")


def _of_class(cls: Any) -> Shape | None:
    if _is_pydantic(get_origin(cls) or cls):
        return PydanticModel(cls)
    if issubclass(cls, enum.Enum):
        return Enumeration(cls)
    if typing.is_typeddict(cls):
        return _of_typed_dict(cls)
    if dataclasses.is_dataclass(cls):
        return _of_dataclass(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        hints = hints_of(cls)
        return Tuple(
            tuple(shape_of(hints.get(name, Any)) for name in cls._fields), cls, getattr(cls, "_field_defaults", {})
        )
    kind = file_kind_of(cls)
    return None if kind is None else Table(cls, kind)


def hints_of(what: Any) -> dict[str, Any]:
    """Type hints with names resolved. Raises SaltError `InvalidProject` naming the one that is not known."""
    try:
        return typing.get_type_hints(what, include_extras=True)
    except NameError as error:
        name = getattr(what, "__qualname__", repr(what))
        raise SaltError(
            "InvalidProject",
            f"a type hint of '{name}' cannot be resolved: {error}",
            next="Import the name at the top of the module, not only under TYPE_CHECKING.",
        ) from error


def _of_dataclass(cls: Any) -> Shape:
    record = Record(
        cls.__name__,
        lambda fields: cls(**fields),
        lambda value: (
            {one.name: getattr(value, one.name) for one in dataclasses.fields(cls) if one.init}
            if isinstance(value, cls)
            else None
        ),
    )
    _known[cls] = record
    hints = hints_of(cls)
    for one in dataclasses.fields(cls):
        if one.init:
            absent = one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
            record.fields[one.name] = Field(shape_of(hints[one.name]), absent)
    return record


def _of_typed_dict(cls: Any) -> Shape:
    record = Record(cls.__name__, dict, lambda value: None)
    _known[cls] = record
    hints = hints_of(cls)
    for name, hint in hints.items():
        record.fields[name] = Field(shape_of(hint), name in cls.__required_keys__)
    record.take = lambda value: value if isinstance(value, Mapping) and _has(value, cls.__required_keys__) else None
    return record


def _has(value: Mapping[str, Any], names: abc.Iterable[str]) -> bool:
    return all(name in value for name in names)
