"""Refs: outputs to come."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .._values.types import RefLike
from ..ambient import current_workflow
from .call import Call, Deferred

if TYPE_CHECKING:
    from .execution import WorkflowExecution

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Awaitable(Generic[T_co]):
    """Something to come in a workflow: `await` it in an async one, ask for its `result()` in a sync one."""

    def _want(self) -> tuple[WorkflowExecution, Deferred]:
        raise NotImplementedError

    def __await__(self) -> Generator[Any, None, T_co]:
        execution, deferred = self._want()
        return cast("T_co", (yield from execution.body.wait_async(deferred)))

    def result(self) -> T_co:
        """Waits for it, in a sync workflow. Raises what awaiting it raises, and WrongPlace in an async workflow."""
        execution, deferred = self._want()
        return cast("T_co", execution.body.wait_sync(deferred))


class Ref(Awaitable[T_co], RefLike):
    """The future output of a call.

    `await ref` in an async workflow, `ref.result()` in a sync one; or pass it on, whole or anywhere inside of another
    call's argument: then its value goes from agent to agent, and the other task waits for it. Valid in the run that
    made it. `key` is the call's key in the run, such as `score#3`.

    Waiting raises TaskFailed, CancelledError, and for waits TimedOut.
    """

    __slots__ = ("_call", "execution", "key")

    def __init__(self, execution: WorkflowExecution, call: Call) -> None:
        self.key = call.key
        self.execution = execution
        self._call = call

    def _want(self) -> tuple[WorkflowExecution, Deferred]:
        return self.execution, self.execution.want(self._call)

    def __repr__(self) -> str:
        return f"<Ref {self.key}>"


class _Joined(Awaitable[T_co]):
    def __init__(self, execution: WorkflowExecution, deferred: Deferred) -> None:
        self._execution = execution
        self._deferred = deferred

    def _want(self) -> tuple[WorkflowExecution, Deferred]:
        return self._execution, self._deferred


def gather(*refs: Awaitable[T]) -> Awaitable[list[T]]:
    """All of them, in this order: `a, b = gather(x(), y()).result()`, or awaited. The first failure is raised at
    once."""
    execution = current_workflow("gather").execution
    parts = [ref._want()[1] for ref in refs]
    joined = Deferred()
    left = [sum(not part.done for part in parts)]

    def finish() -> None:
        joined.settle([part.value for part in parts])

    def told(part: Deferred) -> None:
        left[0] -= 1
        if part.error is not None:
            joined.settle(error=part.error)
        elif left[0] == 0:
            finish()

    for part in parts:
        if not part.done:
            part.on_done(lambda part=part: told(part))  # type: ignore[misc]
        elif part.error is not None:
            joined.settle(error=part.error)
    if left[0] == 0:
        finish()
    return _Joined(execution, joined)


def first(refs: Iterable[Ref[T]]) -> Awaitable[Ref[T]]:
    """The one that settles first, succeeded or not: `ref = first([a, b]).result()`, then ask it for its result."""
    execution = current_workflow("first").execution
    joined = Deferred()
    for ref in refs:
        part = ref._want()[1]
        part.on_done(lambda ref=ref: joined.settle(ref))  # type: ignore[misc]
    return _Joined(execution, joined)


def pass_on(ref: Ref[T]) -> T:
    """The ref itself, for type checkers what it stands for: `add(pass_on(add(1, 2)), 3)` waits for nothing here."""
    return cast("T", ref)
