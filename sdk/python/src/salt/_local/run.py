"""One run in this process: the workflow core over a journal in memory, with tasks, children and timers beside it.

The order and the encoding are those of Salt; nothing is durable.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .._declare.registry import Registry
from .._program.texts import text_of
from .._workflow.call import Outcome
from .._workflow.deps import FrameOfWorkflow, WorkEnd, WorkflowDeps
from .._workflow.execution import WorkflowExecution
from ..errors import CancelledError, UnknownTaskType
from ..failure import failure_of
from ..ports import Core
from .journal import LocalJournal
from .tasks import LocalTask, LocalTasks

if TYPE_CHECKING:
    from .._messages.common.outcomes import Failure
    from .._messages.task.from_agent import Accepted, Work
    from .._messages.task.from_program import Done, Fail
    from .._messages.task.values import Call, Entry, SleepCall, TaskCall, Value, WorkflowCall

_stuck_after_ms = 20
"""Rest that a workflow must have had before it counts as stuck."""


@dataclass(frozen=True)
class LocalEnd:
    """How a run ended. `stuck`: nothing will ever come to what it awaits."""

    kind: Literal["succeeded", "failed", "stuck"]
    output: Value | None = None
    failure: Failure | None = None
    awaiting: tuple[str, ...] = ()


@dataclass
class LocalDeps:
    """`active` counts what is under way in the whole tree of runs: with nothing left, a wait waits for ever."""

    core: Core
    registry: Registry
    tasks: LocalTasks
    active: int = 0


Told = Callable[[LocalEnd], None]


class LocalRun:
    """Everything happens on the loop's thread. `told` gets how it ended, once."""

    def __init__(self, deps: LocalDeps, name: str, input: Value, signals: list[tuple[str, Value]], told: Told) -> None:
        self._deps = deps
        self._name = name
        self._input = input
        self._signals = signals
        self._told = told
        self._journal = LocalJournal(deps.core, self._deliver)
        self._children: dict[str, LocalRun] = {}
        self._tasks: dict[str, LocalTask] = {}
        self._pending: list[Entry] = []
        self._sent = 0
        self._is_over = False
        self._execution: WorkflowExecution | None = None

    def start(self, refs: dict[str, Value] | None = None) -> None:
        """A workflow that restarts goes on as a new run."""
        definition = self._deps.registry.workflows.get(self._name)
        if definition is None:
            error = UnknownTaskType(f"Cannot run '{self._name}': the workflow is not declared here.")
            self._end(LocalEnd("failed", failure=failure_of(error)))
            return
        core, tasks = self._deps.core, self._deps.tasks
        work: Work = {
            "t": "work",
            "argsId": "run",
            "kind": "workflow",
            "name": self._name,
            "task": "run",
            "attempt": 1,
            "input": self._input,
            "refs": refs or {},
            "folder": tasks.new_folder(),
            "seed": os.urandom(16).hex(),
            "openedAtMs": core.now_ms(),
            "parkAfterMs": _stuck_after_ms,
        }

        def warn(text: str) -> None:
            tasks.tell(f"! {text}")

        deps = WorkflowDeps(core, tasks.texts, self._receive, self._ended, tasks.offsets, warn)
        self._execution = WorkflowExecution(deps, work)
        for name, value in self._signals:
            self._journal.signal(name, value)
        self._execution.start(definition)

    def cancel(self, reason: str) -> None:
        if not self._is_over:
            self._journal.cancel(reason)
            self._stop_calls(reason, lambda call: not _is_shielded(call))

    def _deliver(self, entry: Entry) -> None:
        """Entries reach the program in a later turn, as they would over a socket."""
        self._pending.append(entry)
        if len(self._pending) == 1:
            self._deps.core.soon(self._deliver_pending)

    def _deliver_pending(self) -> None:
        entries, self._pending = self._pending, []
        if self._execution is not None:
            self._execution.receive({"t": "settled", "argsId": "run", "entries": entries})

    def _receive(self, frame: FrameOfWorkflow) -> None:
        if frame["t"] == "park":
            self._rest(frame["awaiting"])
        if frame["t"] != "calls":
            return
        self._sent += len(frame["calls"])
        for call in frame["calls"]:
            if self._journal.call(call):
                self._begin(call)
        sent = self._sent
        accepted: Accepted = {"t": "accepted", "argsId": "run", "calls": sent}
        self._deps.core.soon(lambda: self._execution.receive(accepted) if self._execution else None)

    def _rest(self, awaiting: list[str]) -> None:
        # A run that waits for a child is as stuck as the child, which says for what.
        if self._deps.active > 0 or self._pending or any(key in self._children for key in awaiting):
            return
        self._end(LocalEnd("stuck", awaiting=tuple(awaiting)))

    def _begin(self, call: Call) -> None:
        if call["kind"] == "task" or call["kind"] == "workflow":
            self._deps.active += 1
            self._gather_refs(call, self._refs_of(call), {})
        elif call["kind"] == "sleep":
            self._settle_after(self._sleep_ms(call), call["key"], {"outcome": "succeeded"})
        elif "timeoutMs" in call:
            self._settle_after(call["timeoutMs"], call["key"], {"outcome": "timedOut"})

    def _settle_after(self, wait_ms: float, key: str, outcome: Outcome) -> None:
        self._deps.active += 1
        self._deps.core.after(wait_ms, lambda: self._settle(key, outcome))

    def _sleep_ms(self, call: SleepCall) -> float:
        if "forMs" in call:
            return call["forMs"]
        return max(0.0, call.get("untilMs", 0) - self._deps.core.now_ms())

    def _refs_of(self, call: TaskCall | WorkflowCall) -> list[str]:
        if "manyRefs" in call:
            keys: list[str] = json.loads(text_of(self._deps.tasks.texts, call["manyRefs"]))
            return keys
        return list(call.get("refs", ()))

    def _gather_refs(self, call: TaskCall | WorkflowCall, left: list[str], refs: dict[str, Value]) -> None:
        """Waits for one ref after another, without recursion where they have settled."""
        while left:
            key, ready = left.pop(), [False]

            def told(outcome: Outcome, key: str = key, ready: list[bool] = ready) -> None:
                if outcome["outcome"] != "succeeded" or "value" not in outcome:
                    self._settle(call["key"], _dependency_failed(key, outcome.get("failure")))
                    return
                refs[key] = outcome["value"]
                if ready[0]:
                    self._gather_refs(call, left, refs)
                ready[0] = True

            self._journal.when_settled(key, told)
            if not ready[0]:
                ready[0] = True
                return
        self._execute(call, refs)

    def _execute(self, call: TaskCall | WorkflowCall, refs: dict[str, Value]) -> None:
        key = call["key"]
        if self._is_over and not _is_detached(call):
            self._settle(key, {"outcome": "cancelled"})
        elif call["kind"] == "workflow":
            self._execute_child(call, refs)
        else:
            task = LocalTask(key, call["name"], call["input"], refs, call.get("options", {}))
            self._tasks[key] = task
            self._deps.tasks.execute(task, lambda end: self._settle(key, _outcome_of(end)))

    def _execute_child(self, call: WorkflowCall, refs: dict[str, Value]) -> None:
        key = call["key"]

        def told(end: LocalEnd) -> None:
            self._deps.active += 1
            self._children.pop(key, None)
            if end.kind == "stuck":
                self._end(end)
            elif end.output is not None:
                self._settle(key, {"outcome": "succeeded", "value": end.output})
            elif end.failure is not None:
                self._settle(key, {"outcome": "failed", "failure": end.failure})

        # What moves a child is counted where it moves: waiting for it is no activity.
        self._deps.active -= 1
        self._children[key] = LocalRun(self._deps, call["name"], call["input"], [], told)
        self._children[key].start(refs)

    def _settle(self, key: str, outcome: Outcome) -> None:
        self._deps.active -= 1
        self._journal.settle(key, outcome)

    def _stop_calls(self, reason: str, stops: Callable[[Call], bool]) -> None:
        failure = failure_of(CancelledError(reason))
        for call in self._journal.open():
            key = call["key"]
            if not stops(call):
                continue
            if key in self._children:
                self._children[key].cancel(reason)
            if key in self._tasks:
                self._deps.tasks.cancel(self._tasks[key], reason)
                self._deps.active -= 1
            self._journal.settle(key, {"outcome": "cancelled", "failure": failure})

    def _ended(self, end: WorkEnd) -> None:
        self._is_over = True
        self._stop_calls("the workflow returned without it", lambda call: not _is_detached(call))
        if end["t"] == "done":
            self._end(LocalEnd("succeeded", output=end["output"]))
        elif end["t"] == "fail":
            self._end(LocalEnd("failed", failure=end["failure"]))
        else:
            assert self._execution is not None
            LocalRun(self._deps, self._name, end["input"], self._execution.unread(), self._told).start()

    def _end(self, end: LocalEnd) -> None:
        self._is_over = True
        if self._execution is not None:
            self._execution.close()
        self._told(end)


def _is_shielded(call: Call) -> bool:
    return call.get("shielded", False)


def _is_detached(call: Call) -> bool:
    return call.get("detached", False) if call["kind"] == "task" or call["kind"] == "workflow" else False


def _outcome_of(end: Done | Fail) -> Outcome:
    if end["t"] == "done":
        return {"outcome": "succeeded", "value": end["output"]}
    return {"outcome": "failed", "failure": end["failure"]}


def _dependency_failed(key: str, cause: Failure | None) -> Outcome:
    failure: Failure = {
        "type": "DependencyFailed",
        "message": f"'{key}', whose output was passed on to it, did not succeed.",
        "retryable": False,
    }
    if cause is not None:
        failure["cause"] = cause
    return {"outcome": "failed", "failure": failure}
