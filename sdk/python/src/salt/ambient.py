"""Which work the running code belongs to.

One process hosts many workflow works at once, and what users call (`sleep`, a task) names none.
"""

from __future__ import annotations

import contextvars
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .errors import WrongPlace

if TYPE_CHECKING:
    from ._task.context import TaskContext
    from ._workflow.execution import WorkflowExecution


@dataclass(frozen=True)
class WorkflowAmbient:
    """The code of a workflow."""

    execution: WorkflowExecution
    shielded: bool = False


_ambient: contextvars.ContextVar[WorkflowAmbient | TaskContext | None] = contextvars.ContextVar("salt", default=None)
_running: dict[int, TaskContext] = {}
"""Tasks under way, for threads that a task started, which inherit no context."""


def enter(ambient: WorkflowAmbient | TaskContext) -> contextvars.Context:
    """A copy of the present context in which code belongs to that work."""
    context = contextvars.copy_context()
    context.run(_ambient.set, ambient)
    return context


def note_running(context: TaskContext, is_running: bool) -> None:
    """Takes note of a task that begins or ends."""
    if is_running:
        _running[id(context)] = context
    else:
        _running.pop(id(context), None)


def running_task() -> TaskContext | None:
    """The task that the code belongs to, if any. In a thread of its own: the only one that is under way."""
    ambient = _ambient.get()
    if ambient is None:
        contexts = list(_running.values())
        return contexts[0] if len(contexts) == 1 else None
    return None if isinstance(ambient, WorkflowAmbient) else ambient


def current_workflow(what: str) -> WorkflowAmbient:
    """Raises WrongPlace outside of a workflow."""
    ambient = _ambient.get()
    if isinstance(ambient, WorkflowAmbient):
        return ambient
    where = "outside of one" if running_task() is None else "in a task"
    raise WrongPlace(f"Cannot use {what} {where}: it is for the code of a workflow.")


def current_task(what: str) -> TaskContext:
    """Raises WrongPlace outside of a task."""
    context = running_task()
    if context is not None:
        return context
    where = "outside of one" if _ambient.get() is None else "in a workflow"
    raise WrongPlace(f"Cannot use {what} {where}: it is for the code of a task.")


class shielded:
    """`with shielded():` its calls may go on after the run is cancelled, for at most 30 s: the place for compensation.

    For sync and async workflows. Awaiting what was called outside of it still raises CancelledError.
    """

    def __enter__(self) -> None:
        self._token = _ambient.set(replace(current_workflow("shielded"), shielded=True))

    def __exit__(self, *_: object) -> None:
        try:
            _ambient.reset(self._token)
        except ValueError:
            # A coroutine that is let go of is unwound outside of its context, which nobody looks at any more.
            pass
