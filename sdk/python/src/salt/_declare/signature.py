"""How a function's parameters are one input.

S1  No parameter: the input is not looked at.
S2  One parameter: the input is its value; null stands for its default.
S3  Two or more: the input is an object with their names. What is absent gets its default.
S4  A parameter annotated TaskContext is none of these: it is given the context.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, get_args

from .._types.of_hint import hints_of, shape_of
from .._types.records import Field, Record
from .._types.scalars import Anything
from .._types.shape import BAD, Complaints, Schema, Shape, schema_of
from ..errors import InvalidInput, SaltError, ValidationError

_no_default = inspect.Parameter.empty


@dataclass
class Signature:
    """The input and the output of one declared function. Hints are looked at when first needed, as they may name what
    is declared later in the module."""

    what: str
    fn: Callable[..., Any]
    parameters: dict[str, inspect.Parameter] = field(init=False)
    context_names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self._signature = inspect.signature(self.fn)
        parameters = self._signature.parameters
        for name, parameter in parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise SaltError(
                    "InvalidProject",
                    f"Cannot declare {self.what}: its parameter '{name}' takes any number of arguments.",
                    next="Name its parameters, or take one list or dict.",
                )
        self.context_names = tuple(name for name, one in parameters.items() if _is_context(one.annotation))
        self.parameters = {name: one for name, one in parameters.items() if name not in self.context_names}
        self._bindable = self._signature.replace(
            parameters=list(self.parameters.values()), return_annotation=inspect.Signature.empty
        )

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return hints_of(self.fn)

    def _shape(self, name: str, hint: Any) -> Shape:
        try:
            return shape_of(hint)
        except SaltError as error:
            text = f"Cannot describe {self.what}: {name}: {error.args[0]}."
            raise SaltError("InvalidProject", text, next=error.next) from error

    @cached_property
    def input(self) -> Shape:
        """The shape of the whole input."""
        hints = self._hints
        shapes = {name: self._shape(f"'{name}'", hints.get(name, Any)) for name in self.parameters}
        if not shapes:
            return Anything()
        if len(shapes) == 1:
            return next(iter(shapes.values()))
        record = Record("Input", dict, lambda value: None, closed=True)
        for name, shape in shapes.items():
            record.fields[name] = Field(shape, self.parameters[name].default is _no_default)
        return record

    @cached_property
    def output(self) -> Shape:
        """The shape of what the function returns; of None anything, as nothing is said of it."""
        return self._shape("its output", self._hints.get("return", Any))

    def input_schema(self) -> Schema:
        """JSON Schema of the input; null is allowed where the one parameter has a default."""
        schema = schema_of(self.input)
        if len(self.parameters) == 1 and self._has_default() and isinstance(schema, dict):
            definitions = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
            return {"anyOf": [schema, {"type": "null"}], **definitions}
        return schema

    def output_schema(self) -> Schema:
        """JSON Schema of the output."""
        return schema_of(self.output, given=True)

    def _has_default(self) -> bool:
        return next(iter(self.parameters.values())).default is not _no_default

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The input that a call's arguments are. Raises TypeError, as the function itself would."""
        try:
            bound = self._bindable.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{self.what}: {error}") from None
        if len(self.parameters) < 2:
            return next(iter(bound.values()), None)
        return dict(bound)

    def read_input(self, name: str, value: Any) -> dict[str, Any]:
        """The function's keyword arguments, each of its annotated type. Raises InvalidInput, which names the path."""
        if not self.parameters:
            return {}
        if value is None and len(self.parameters) == 1 and self._has_default():
            return {}
        complaints = Complaints()
        read = self.input.read(value, complaints)
        if read is BAD:
            raise InvalidInput(f"The input of '{name}' is not valid: {complaints.text()}", complaints.found)
        return {next(iter(self.parameters)): read} if len(self.parameters) == 1 else read

    def call(self, read: Mapping[str, Any], context: Any = None) -> Any:
        """Calls the function with what was read."""
        named = {**read, **dict.fromkeys(self.context_names, context)}
        positional = []
        for name, parameter in self._signature.parameters.items():
            if parameter.kind is not parameter.POSITIONAL_ONLY or name not in named:
                break
            positional.append(named.pop(name))
        return self.fn(*positional, **named)

    def read_output(self, name: str, value: Any) -> Any:
        """The output as one of its annotated type. Raises ValidationError, which names the path."""
        complaints = Complaints()
        read = self.output.read(value, complaints)
        if read is BAD:
            raise ValidationError(f"The output of '{name}' is not valid: {complaints.text()}", complaints.found)
        return read


def _is_context(annotation: Any) -> bool:
    """Whether it is TaskContext, perhaps as a text, or optional."""
    if isinstance(annotation, str):
        return "TaskContext" in annotation
    names = {getattr(one, "__name__", "") for one in (annotation, *get_args(annotation))}
    return "TaskContext" in names
