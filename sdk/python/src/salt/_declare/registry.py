"""What a project has declared: a declaration registers itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._values.paths import quoted
from ..errors import SaltError
from .options import WorkflowOptions, name_pattern
from .signature import Signature

if TYPE_CHECKING:
    from .._messages.common.options import TaskOptions


@dataclass(frozen=True)
class TaskDefinition:
    """A task type as declared, with its types forgotten."""

    name: str
    description: str | None
    signature: Signature
    checks: tuple[tuple[str, Callable[..., Any]], ...]
    options: TaskOptions


@dataclass(frozen=True)
class WorkflowDefinition:
    """A workflow as declared, with its types forgotten."""

    name: str
    signature: Signature
    options: WorkflowOptions


@dataclass
class Registry:
    """Task types and workflows by name; they share one set of names."""

    tasks: dict[str, TaskDefinition] = field(default_factory=dict)
    workflows: dict[str, WorkflowDefinition] = field(default_factory=dict)

    def add_task(self, definition: TaskDefinition) -> None:
        self._assert_new("task type", definition.name)
        self.tasks[definition.name] = definition

    def add_workflow(self, definition: WorkflowDefinition) -> None:
        self._assert_new("workflow", definition.name)
        self.workflows[definition.name] = definition

    def _assert_new(self, what: str, name: Any) -> None:
        if not isinstance(name, str) or not name_pattern.match(name):
            shown = quoted(name) if isinstance(name, str) else repr(name)
            raise SaltError(
                "InvalidProject",
                f"Cannot declare {what} {shown}: the name is not valid.",
                next="Begin with a letter and use at most 100 letters, digits, '_', '.' and '-'.",
            )
        if name in self.tasks or name in self.workflows:
            raise SaltError(
                "InvalidProject",
                f"Cannot declare {what} '{name}': the name is already declared.",
                next="Task types and workflows of a project share one set of names: rename one of the two.",
            )


declared = Registry()
"""Everything declared in this process."""


def description_of(fn: Callable[..., Any], given: str | None) -> str | None:
    """The first paragraph of the docstring, unless something else is said. At most 1,000 characters."""
    text = given if given is not None else (fn.__doc__ or "").strip().split("\n\n")[0]
    words = " ".join(text.split())
    return words[:1_000] or None
