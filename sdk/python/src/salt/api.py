"""What the code of workflows and tasks calls."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NoReturn, TypeVar, overload
from uuid import UUID

from ._declare.options import (
    Limit,
    Retry,
    Seconds,
    checked_name,
    checked_qualified_name,
    milliseconds,
    task_options,
)
from ._task.context import TaskContext
from ._types.of_hint import shape_of
from ._types.shape import BAD, Complaints
from ._values.types import FileValue
from ._workflow.call import Body, plain_number
from ._workflow.deps import CallSite
from ._workflow.ref import Ref
from .ambient import current_task, current_workflow
from .errors import SaltError, ValidationError

T = TypeVar("T")
Json = str | float | int | bool | None


def _acceptor(what: str, type: Any) -> Callable[[Any], Any] | None:
    """Makes of a decoded value one of a type that the code asks for."""
    if type is None:
        return None
    shape = shape_of(type)

    def accept(value: Any) -> Any:
        complaints = Complaints()
        read = shape.read(value, complaints)
        if read is BAD:
            text = f"The value of {what} is not valid: {complaints.text()}"
            raise ValidationError(text, complaints.found, retryable=False)
        return read

    return accept


def call(
    name: str,
    argument: Any = None,
    *,
    kind: Literal["task", "workflow"] = "task",
    output: Any = None,
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
) -> Ref[Any]:
    """Calls a task type or workflow by name, such as `call("fraud/score", {"id": 7})` for one of another registered
    project, perhaps in another language.

    `argument` is the whole input. `kind`: a task type (default), or a workflow, which becomes a child run. `output`:
    the type that the output is read as when awaited; ValidationError when it is not. The rest as with `Task.options`.
    """
    checked_qualified_name(name)
    ambient = current_workflow(f'call("{name}")')
    accept = _acceptor(f"'{name}'", output)
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
    options = task_options(
        f"call '{name}' with these options", {name: value for name, value in given.items() if value is not None}
    )
    if kind == "workflow" and options:
        raise SaltError("BadRequest", f"Cannot call '{name}': {', '.join(options)} is for tasks, not for workflows.")
    site: CallSite = {"key": key, "detached": detached, "options": options, "shielded": ambient.shielded}
    return ambient.execution.call_named(kind, name, argument, site, accept)


def sleep(time: Seconds, *, key: str | None = None) -> Ref[None]:
    """A durable pause of so many seconds, or of a timedelta: the run may be parked, and need no process, meanwhile."""
    ms = max(0.0, milliseconds("sleep", time))
    ambient = current_workflow("sleep")
    return ambient.execution.call(Body("sleep", "sleep", for_ms=plain_number(ms)), key, ambient.shielded)


def sleep_until(time: dt.datetime, *, key: str | None = None) -> Ref[None]:
    """A durable pause until a time, a datetime with a zone. One that is past ends at once."""
    if time.utcoffset() is None:
        raise ValueError("Cannot sleep until that time: it has no time zone.")
    until_ms = (time - dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)) / dt.timedelta(milliseconds=1)
    ambient = current_workflow("sleep_until")
    return ambient.execution.call(Body("sleep", "sleep", until_ms=plain_number(until_ms)), key, ambient.shielded)


@overload
def wait_for_signal(name: str, *, type: type[T], timeout: Seconds | None = None, key: str | None = None) -> Ref[T]: ...
@overload
def wait_for_signal(
    name: str, *, type: Any = None, timeout: Seconds | None = None, key: str | None = None
) -> Ref[Any]: ...
def wait_for_signal(name: str, *, type: Any = None, timeout: Seconds | None = None, key: str | None = None) -> Ref[Any]:
    """The next signal of that name sent to this run: the n-th wait takes the n-th signal, also one that came before.

    `timeout`: waiting raises TimedOut after so many seconds; default: it waits for ever. `type`: what the value is read
    as; ValidationError when it is not.
    """
    checked_name("signal", name)
    ambient = current_workflow("wait_for_signal")
    body = Body("signal", name, timeout_ms=_timeout_ms(f"wait for signal '{name}'", timeout))
    return ambient.execution.call(body, key, ambient.shielded, _acceptor(f"signal '{name}'", type))


@overload
def wait_for_event(
    name: str,
    *,
    match: Mapping[str, Json] | None = None,
    type: type[T],
    timeout: Seconds | None = None,
    key: str | None = None,
) -> Ref[T]: ...
@overload
def wait_for_event(
    name: str,
    *,
    match: Mapping[str, Json] | None = None,
    type: Any = None,
    timeout: Seconds | None = None,
    key: str | None = None,
) -> Ref[Any]: ...
def wait_for_event(
    name: str,
    *,
    match: Mapping[str, Json] | None = None,
    type: Any = None,
    timeout: Seconds | None = None,
    key: str | None = None,
) -> Ref[Any]:
    """The first event of that name, of this project, sent after the call.

    `match`: fields of the event's value that must equal these, by JSON pointer: `{"/order/id": 7}`. `timeout` and
    `type` as with `wait_for_signal`.
    """
    checked_name("event", name)
    ambient = current_workflow("wait_for_event")
    timeout_ms = _timeout_ms(f"wait for event '{name}'", timeout)
    body = Body("event", name, timeout_ms=timeout_ms, match=None if match is None else dict(match))
    return ambient.execution.call(body, key, ambient.shielded, _acceptor(f"event '{name}'", type))


def _timeout_ms(what: str, timeout: Seconds | None) -> float | None:
    return None if timeout is None else plain_number(max(0.0, milliseconds(what, timeout)))


def now() -> dt.datetime:
    """The workflow's time, in UTC: that of the last thing that happened to it. The same on every replay."""
    ms = current_workflow("now").execution.now_ms()
    return dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(milliseconds=ms)


def random() -> float:
    """A random number in [0, 1). The same on every replay."""
    return current_workflow("random").execution.random()


def uuid() -> UUID:
    """A random UUID (version 4). The same on every replay."""
    return current_workflow("uuid").execution.uuid()


def restart(*args: Any, **kwargs: Any) -> NoReturn:
    """Ends the workflow, and goes on as a new run of it with these arguments and an empty journal: for loops without
    end.

    Signals that nobody has waited for move over. Never returns; `finally` blocks are run.
    """
    current_workflow("restart").execution.restart(args, kwargs)


def context() -> TaskContext:
    """The context of the task that the code belongs to, also in a thread that it started."""
    return current_task("context")


def progress(fraction: float | str | None = None, message: str | None = None) -> None:
    """Shows how far the current task is: a fraction from 0 to 1, a message, or both."""
    current_task("progress").progress(fraction, message)


def emit(name: str, value: Any, *, key: str | None = None) -> None:
    """Sends an event out of the current task before it ends. The same key is sent once, also over attempts."""
    current_task("emit").emit(name, value, key=key)


def file(path: str | os.PathLike[str], *, name: str | None = None, media_type: str | None = None) -> FileValue:
    """Makes a file of the current task's folder part of its output."""
    return current_task("file").file(path, name=name, media_type=media_type)


def path_of(file: FileValue) -> os.PathLike[str]:
    """The path of a file that came with the current task's input; waits until it is here."""
    return current_task("path_of").path_of(file)
