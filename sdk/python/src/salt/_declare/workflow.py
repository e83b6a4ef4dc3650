"""Workflows."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from .._workflow.deps import CallSite
from .._workflow.ref import Ref
from ..ambient import current_workflow
from .options import Seconds, workflow_options
from .registry import WorkflowDefinition, declared, description_of
from .signature import Signature
from .task import accept_output

P = ParamSpec("P")
R = TypeVar("R")


class Workflow(Generic[P, R]):
    """A workflow. Called in another workflow it opens a child run and returns the ref of its output."""

    def __init__(self, fn: Callable[P, Any], name: str, site: CallSite | None = None) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = name
        self._site: CallSite = site or {}
        self._signature: Signature = declared.workflows[name].signature

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Ref[R]:
        ambient = current_workflow(f"workflow '{self.name}'")
        argument = self._signature.bind(args, kwargs)
        site: CallSite = {**self._site, "shielded": ambient.shielded}
        accept = accept_output(self._signature, self.name)
        return ambient.execution.call_named("workflow", self.name, argument, site, accept)

    def options(self, *, key: str | None = None, detached: bool = False) -> Workflow[P, R]:
        """The same workflow with what a single call says.

        `key`: the call's key in the run. `detached`: the child run goes on when the workflow returns without it.
        """
        return Workflow(self.fn, self.name, {"key": key, "detached": detached})


@overload
def workflow(fn: Callable[P, Awaitable[R]], /) -> Workflow[P, R]: ...
@overload
def workflow(fn: Callable[P, R], /) -> Workflow[P, R]: ...
@overload
def workflow(
    *,
    name: str | None = None,
    description: str | None = None,
    run_timeout: Seconds | None = None,
    isolate: bool = False,
    pool: str | None = None,
    labels: dict[str, str] | None = None,
) -> WorkflowDecorator: ...


def workflow(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    run_timeout: Seconds | None = None,
    isolate: bool = False,
    pool: str | None = None,
    labels: dict[str, str] | None = None,
) -> Any:
    """Declares a workflow: plain code, sync or async, that calls task types.

    It may run many times over one journal, so all that it reads from outside comes in through its input, its calls,
    `now`, `random` and `uuid`, and it waits for nothing but Salt's own. Refs in what it returns are awaited.

    `name`: unique in the project, default the function's. `run_timeout`: longest time from opened to ended, in seconds
    or as timedelta, default none. `isolate`: its runs share no process with other runs. `pool` and `labels` choose
    agents.

    Raises SaltError `InvalidProject` when the name is not valid or already declared, `BadRequest` for another option.
    """

    def declare(fn: Callable[..., Any]) -> Workflow[..., Any]:
        workflow_name = fn.__name__ if name is None else name
        declared.add_workflow(
            WorkflowDefinition(
                workflow_name,
                Signature(f"workflow '{workflow_name}'", fn),
                workflow_options(description_of(fn, description), run_timeout, isolate, pool, labels),
            )
        )
        return Workflow(fn, workflow_name)

    return declare if fn is None else declare(fn)


class WorkflowDecorator(Protocol):
    """What `@workflow(…)` decorates with."""

    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Workflow[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Workflow[P, R]: ...
