"""Refs inside of what a workflow returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from .ref import Ref


def refs_in(value: Any) -> list[Ref[Any]]:
    """Every ref inside a value: in lists, tuples, dicts, sets and dataclasses. Each once."""
    found: dict[int, Ref[Any]] = {}
    _collect(value, found, set())
    return list(found.values())


def _collect(value: Any, found: dict[int, Ref[Any]], seen: set[int]) -> None:
    if isinstance(value, Ref):
        found[id(value)] = value
        return
    members = _members(value)
    if members is None or id(value) in seen:
        return
    seen.add(id(value))
    for member in members:
        _collect(member, found, seen)


def _members(value: Any) -> Any:
    if isinstance(value, (list, tuple, set, frozenset)):
        return value
    if isinstance(value, Mapping):
        return value.values()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, one.name) for one in dataclasses.fields(value)]
    return None


def replace_refs(value: Any, outputs: Mapping[int, Any]) -> Any:
    """The value with each ref's output, by the ref's id, in its place."""
    if isinstance(value, Ref):
        return outputs[id(value)]
    if isinstance(value, tuple):
        members = [replace_refs(member, outputs) for member in value]
        return type(value)(*members) if hasattr(value, "_fields") else tuple(members)
    if isinstance(value, (list, set, frozenset)):
        return type(value)(replace_refs(member, outputs) for member in value)
    if isinstance(value, dict):
        copy = type(value)()
        copy.update({key: replace_refs(member, outputs) for key, member in value.items()})
        return copy
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and refs_in(value):
        names = [one.name for one in dataclasses.fields(value) if one.init]
        return dataclasses.replace(value, **{name: replace_refs(getattr(value, name), outputs) for name in names})
    return value
