"""Task types."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, overload

from .._workflow.deps import CallSite
from .._workflow.ref import Ref
from ..ambient import current_workflow
from ..errors import SaltError
from .checks import CheckFinding
from .options import Limit, Retry, Seconds, name_pattern, task_options
from .registry import TaskDefinition, declared, description_of
from .signature import Signature

P = ParamSpec("P")
R = TypeVar("R")

CheckFunction = Callable[..., bool | CheckFinding | Awaitable[bool | CheckFinding]]
"""A look at a task's output, `(output)` or `(output, input)`: True passes, False fails, an exception fails."""


class Task(Generic[P, R]):
    """A task type. Calling it in a workflow publishes a task at once and returns the ref of its output.

    Any argument, or any part of one, may be a ref. `fn` is the function itself, for unit tests: no type, check or retry
    comes into it. `name` is its name in the project.
    """

    def __init__(self, fn: Callable[P, Any], name: str, site: CallSite | None = None) -> None:
        functools.update_wrapper(self, fn)
        self.fn = fn
        self.name = name
        self._site: CallSite = site or {}
        self._signature: Signature = declared.tasks[name].signature

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Ref[R]:
        try:
            ambient = current_workflow(f"task '{self.name}'")
        except Exception as error:
            error.args = (f"{error.args[0]} Its function alone is {self.name}.fn.",)
            raise
        argument = self._signature.bind(args, kwargs)
        site: CallSite = {**self._site, "shielded": ambient.shielded}
        accept = accept_output(self._signature, self.name)
        return ambient.execution.call_named("task", self.name, argument, site, accept)

    def options(
        self,
        *,
        key: str | None = None,
        detached: bool = False,
        retry: Retry | int | None = None,
        attempt_timeout: Seconds | None = None,
        queue_timeout: Seconds | None = None,
        priority: int | None = None,
        process: str | None = None,
        pool: str | None = None,
        labels: Mapping[str, str] | None = None,
        limit: Limit | None = None,
        on_lease_lost: str | None = None,
    ) -> Task[P, R]:
        """The same task type with what a single call says: `score.options(key="first", priority=10)(text)`.

        `key`: the call's key in the run, in place of `<name>#<n>`: 1 to 200 printable characters without `/`, not
        beginning with `@`. `detached`: the task goes on when the workflow returns without it. The rest overrides the
        task type's own options. Raises SaltError `BadRequest` for an option that is not valid.
        """
        given = {
            "retry": retry,
            "attempt_timeout": attempt_timeout,
            "queue_timeout": queue_timeout,
            "priority": priority,
            "process": process,
            "pool": pool,
            "labels": labels,
            "limit": limit,
            "on_lease_lost": on_lease_lost,
        }
        options = task_options(f"call '{self.name}' with these options", _given(given))
        return Task(self.fn, self.name, {"key": key, "detached": detached, "options": options})


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def accept_output(signature: Signature, name: str) -> Callable[[Any], Any]:
    """Makes of a decoded output what the function returned: a value of its annotated type."""

    def accept(value: Any) -> Any:
        shape = signature.output
        # Arrays and tables stay files in a workflow, which passes them on.
        return value if shape.wants_files() else signature.read_output(name, value)

    return accept


@overload
def task(fn: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
@overload
def task(fn: Callable[P, R], /) -> Task[P, R]: ...
@overload
def task(
    *,
    name: str | None = None,
    description: str | None = None,
    checks: Mapping[str, CheckFunction] | None = None,
    retry: Retry | int | None = None,
    attempt_timeout: Seconds | None = None,
    queue_timeout: Seconds | None = None,
    priority: int | None = None,
    process: str | None = None,
    pool: str | None = None,
    labels: Mapping[str, str] | None = None,
    limit: Limit | None = None,
    on_lease_lost: str | None = None,
) -> TaskDecorator: ...


def task(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    checks: Mapping[str, CheckFunction] | None = None,
    retry: Retry | int | None = None,
    attempt_timeout: Seconds | None = None,
    queue_timeout: Seconds | None = None,
    priority: int | None = None,
    process: str | None = None,
    pool: str | None = None,
    labels: Mapping[str, str] | None = None,
    limit: Limit | None = None,
    on_lease_lost: str | None = None,
) -> Any:
    """Declares a task type: a function, sync or async, that an agent executes as often as it takes to succeed once.

    `name`: unique in the project, default the function's: a letter, then letters, digits, `_`, `.` and `-`.
    `description`: default the docstring's first paragraph. `checks` look at the output, by name. `retry`: attempts in
    all, or a Retry; default 1. `attempt_timeout`: longest time of one attempt, default 24 h; `queue_timeout`: from
    ready to leased, default none; both in seconds or as timedelta. `priority`: -100 to 100, one step outweighs a minute
    of waiting. `process`: `warm` (default: a process executes one task after another) or `fresh` (each attempt has its
    own). `pool` and `labels` choose agents. `limit`: how many tasks may be at work at once, a Limit. `on_lease_lost`:
    `continue` (default: an attempt whose agent cannot renew its lease goes on, perhaps beside the next) or `stop` (it
    is ended, and never overlaps with the next).

    Raises SaltError `InvalidProject` when the name is not valid or already declared, `BadRequest` for another option.
    """
    given = {
        "retry": retry,
        "attempt_timeout": attempt_timeout,
        "queue_timeout": queue_timeout,
        "priority": priority,
        "process": process,
        "pool": pool,
        "labels": labels,
        "limit": limit,
        "on_lease_lost": on_lease_lost,
    }

    def declare(fn: Callable[..., Any]) -> Task[..., Any]:
        task_name = fn.__name__ if name is None else name
        named_checks = tuple((checks or {}).items())
        for check_name, _ in named_checks:
            if not name_pattern.match(check_name):
                raise SaltError("InvalidProject", f"Cannot declare the check {check_name!r}: the name is not valid.")
        declared.add_task(
            TaskDefinition(
                task_name,
                description_of(fn, description),
                Signature(f"task type '{task_name}'", fn),
                named_checks,
                task_options(f"declare task type '{task_name}'", _given(given)),
            )
        )
        return Task(fn, task_name)

    return declare if fn is None else declare(fn)


class TaskDecorator(Protocol):
    """What `@task(…)` decorates with."""

    @overload
    def __call__(self, fn: Callable[P, Awaitable[R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, fn: Callable[P, R], /) -> Task[P, R]: ...
