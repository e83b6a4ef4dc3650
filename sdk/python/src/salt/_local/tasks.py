"""Tasks of a local run: in threads of this process, retried as their options say."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias

from .._declare.registry import Registry, TaskDefinition
from .._program.texts import TextsOnDisk
from .._task.context import TaskContext
from .._task.execute import execute_task
from .._values.types import FileValue
from ..errors import RemoteError, UnknownTaskType
from ..failure import failure_of
from ..ports import Core

if TYPE_CHECKING:
    from .._messages.common.options import Retry, TaskOptions
    from .._messages.common.outcomes import Failure
    from .._messages.task.from_agent import Work
    from .._messages.task.from_program import Done, Emit, Fail, Offsets, Progress
    from .._messages.task.values import Value

Told: TypeAlias = "Callable[[Done | Fail], None]"

_running_max = 16
"""Tasks that run at once; more wait."""
_default_retry: Retry = {"attempts": 1, "backoffMs": 1_000, "factor": 2, "backoffMaxMs": 5 * 60_000}


@dataclass
class LocalTask:
    """One call of a task type, with the values of its refs."""

    key: str
    name: str
    input: Value
    refs: dict[str, Value]
    options: TaskOptions
    context: TaskContext | None = None
    attempt: int = 0
    is_over: bool = False


@dataclass
class LocalTasks:
    """Everything on the loop's thread, but the functions themselves."""

    core: Core
    registry: Registry
    new_folder: Callable[[], str]
    tell: Callable[[str], None]
    """One line for the person who watches."""
    texts: TextsOnDisk = field(default_factory=TextsOnDisk)
    files: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._threads = 0

    def execute(self, task: LocalTask, told: Told) -> None:
        """Executes a task, retries included; `told` gets how it ended, as a frame."""
        definition = self.registry.tasks.get(task.name)
        if definition is None:
            where = "is of another project: it needs Salt" if "/" in task.name else "is not declared"
            error = UnknownTaskType(f"Cannot call '{task.name}' here: the task type {where}.")
            told(self._failed(task, failure_of(error)))
            return
        self._attempt(task, definition, told)

    def cancel(self, task: LocalTask, reason: str) -> None:
        """Tells a task, and counts on it no more."""
        task.is_over = True
        if task.context is not None:
            task.context.cancel(reason)

    def _attempt(self, task: LocalTask, definition: TaskDefinition, told: Told) -> None:
        task.attempt += 1
        work: Work = {
            "t": "work",
            "argsId": _args_id(task),
            "kind": "task",
            "name": task.name,
            "task": f"run/{task.key}",
            "attempt": task.attempt,
            "input": task.input,
            "refs": task.refs,
            "folder": self.new_folder(),
        }
        context = task.context = TaskContext(self, work)
        started_ms = self.core.monotonic_ms()
        ended = [False]

        def end(frame: Done | Fail) -> None:
            if ended[0]:
                return
            ended[0] = True
            if timer is not None:
                timer.cancel()
            self._ended(task, definition, frame, told, self.core.monotonic_ms() - started_ms)

        def late() -> None:
            message = f"The attempt lasted longer than its {timeout_ms} ms."
            context.cancel(message)
            end(self._failed(task, {"type": "TimedOut", "message": message, "retryable": True}))

        options: TaskOptions = {**definition.options, **task.options}
        timeout_ms = options.get("attemptTimeoutMs")
        timer = None if timeout_ms is None else self.core.after(timeout_ms, late)

        def job() -> None:
            frame = execute_task(context, work, definition, self.texts)(self.offsets())
            if frame["t"] == "done":
                self.files.update({file["sha256"]: file["path"] for file in frame.get("files", ())})
            self.core.post(lambda: end(frame))

        self._start(job)

    def _ended(self, task: LocalTask, definition: TaskDefinition, end: Done | Fail, told: Told, took_ms: float) -> None:
        if task.is_over:
            return
        for check in end.get("checks", ()):
            if check["result"] == "warn":
                said = f": {check['message']}" if "message" in check else ""
                self.tell(f"! {task.key}: check '{check['name']}' warns{said}")
        if end["t"] == "done":
            self.tell(f"✓ {task.key} {round(took_ms)} ms")
            told(end)
            return
        failure = end["failure"]
        retry: Retry = {**_default_retry, **definition.options.get("retry", {}), **task.options.get("retry", {})}
        if not failure["retryable"] or task.attempt >= retry["attempts"]:
            self.tell(f"✗ {task.key} {failure['type']}: {failure['message']}")
            told(end)
            return
        bound = min(retry["backoffMaxMs"], retry["backoffMs"] * retry["factor"] ** (task.attempt - 1))
        pause_ms = int(random.random() * bound)
        said = f"{failure['type']}: {failure['message']}; again in {pause_ms} ms"
        self.tell(f"↻ {task.key} attempt {task.attempt}: {said}")
        self.core.after(pause_ms, lambda: None if task.is_over else self._attempt(task, definition, told))

    def _start(self, job: Callable[[], None]) -> None:
        self._jobs.put(job)
        if self._threads < _running_max:
            self._threads += 1
            threading.Thread(target=self._work, name=f"salt-task-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._jobs.get()()

    def _failed(self, task: LocalTask, failure: Failure) -> Fail:
        return {"t": "fail", "argsId": _args_id(task), "offsets": self.offsets(), "failure": failure}

    # The host of their contexts.

    def offsets(self) -> Offsets:
        """Nobody asks here which output is whose."""
        return {"stdout": 0, "stderr": 0}

    def say(self, frame: Progress | Emit) -> None:
        """Progress and emits are nobody's here."""

    def fetch(self, args_id: str, file: FileValue) -> str:
        path = self.files.get(file.sha256)
        if path is None:
            message = f"The file {file.sha256} was not made in this run."
            raise RemoteError({"type": "NotFound", "message": message, "retryable": False})
        return path


def _args_id(task: LocalTask) -> str:
    return f"{task.key}/{task.attempt}"
