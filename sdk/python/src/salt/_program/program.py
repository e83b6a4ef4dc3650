"""The program's side of the task protocol, apart from the socket. Tasks are executed one at a time, in the order in
which they came, by the thread that asks for them; workflow works run side by side on the loop.

R1  A frame about work that the program never had is dropped, and the process ends after what it has begun (T1).
R2  `done`, `fail`, `restart` and `emit` are kept until accepted, and sent again after `resume` (T2).
R3  Of what is queued in a process that is to end, it says `unbegun`.
R4  After a task that left threads or child processes behind, the process ends once the answer is accepted.
R5  Everything here happens on the loop's thread, but taking the next task, ending one and what a running one says: what
    these share with it is under the lock.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from .._declare.registry import Registry
from .._task.context import TaskContext
from .._values.types import FileValue
from .._workflow.deps import WorkEnd, WorkflowDeps
from .._workflow.execution import WorkflowExecution
from ..errors import CancelledError, RemoteError, UnknownTaskType
from ..failure import failure_of
from ..ports import Core
from ..version import sdk_name, task_protocol
from .texts import Texts
from .work_leases import WorkLeases

if TYPE_CHECKING:
    from .._messages.common.outcomes import Failure
    from .._messages.task.from_agent import (
        Accepted,
        AgentToProgramFrame,
        Cancel,
        Fetched,
        Lease,
        Parked,
        Resume,
        Settled,
        Values,
        Work,
    )
    from .._messages.task.from_program import (
        Done,
        Emit,
        Fail,
        Hello,
        HelloWorking,
        Offsets,
        ProgramFrame,
        Progress,
    )
    from .._task.execute import TaskEnd

_WorkFrame: TypeAlias = "Accepted | Resume | Lease | Cancel | Parked | Fetched | Settled | Values"
"""What an agent says of work that the program has."""

_forgotten_max = 1_000


class ProcessHost(Protocol):
    """The process around the works."""

    @property
    def texts(self) -> Texts: ...

    def offsets(self) -> Offsets:
        """How long the files behind stdout and stderr are, with everything that was printed."""

    def write_line(self, line: str) -> None: ...

    def exit(self, code: int) -> None:
        """Ends the process, once what was sent in this turn is out."""

    def kill(self) -> None:
        """Ends the process with its whole group, at once."""


@dataclass(frozen=True)
class ProgramDeps:
    """What a program is given. `args_id`: the work named on the command line, after which it ends; None: it waits for
    more."""

    core: Core
    registry: Registry
    host: ProcessHost
    session: str
    pid: int
    args_id: str | None
    send: Callable[[ProgramFrame], None]
    """Dropped while there is no connection: what matters is sent again after `resume`."""


@dataclass
class _Work:
    """One piece of work; exactly one of the four is set."""

    queued: Work | None = None
    task: TaskContext | None = None
    execution: WorkflowExecution | None = None
    ended: WorkEnd | None = None
    emits: dict[str, Emit] = field(default_factory=dict)
    fetches: dict[str, list[_Fetch]] = field(default_factory=dict)

    def progress(self, args_id: str) -> HelloWorking:
        if self.execution is not None:
            return {"argsId": args_id, "given": self.execution.given, "calls": self.execution.accepted_calls}
        return {"argsId": args_id, "given": 0 if self.ended is None else self.ended.get("given", 0)}


@dataclass
class _Fetch:
    done: threading.Event = field(default_factory=threading.Event)
    path: str | None = None
    failure: Failure | None = None


class Program:
    """Frames of the agent in, frames to the agent out."""

    def __init__(self, deps: ProgramDeps) -> None:
        self._deps = deps
        self._works: dict[str, _Work] = {}
        self._queue: deque[str] = deque()
        self._over: OrderedDict[str, None] = OrderedDict()
        """Works that are over: frames about them are late, not foreign."""
        self._leaving: int | None = None
        self._lock = threading.Condition()
        self._is_stopped = False
        self._leases = WorkLeases(deps.core, deps.host.kill)

    @property
    def texts(self) -> Texts:
        return self._deps.host.texts

    def hello(self) -> Hello:
        """The first frame of each connection."""
        working = [work.progress(args_id) for args_id, work in self._works.items()]
        return {
            "t": "hello",
            "protocol": task_protocol,
            "sdk": sdk_name,
            "session": self._deps.session,
            "pid": self._deps.pid,
            "argsId": self._deps.args_id,
            "working": working,
        }

    def receive(self, frame: AgentToProgramFrame) -> None:
        """Takes a frame of the agent."""
        if frame["t"] == "quit":
            self._deps.host.exit(0)
        elif frame["t"] == "work":
            self._begin(frame)
        elif "argsId" in frame:
            work = self._works.get(frame["argsId"])
            if work is not None:
                self._receive_of(frame, work)
            elif frame["argsId"] not in self._over:
                self._leave(0)

    # From the thread that executes tasks.

    def take_task(self, *, wait: bool = True) -> tuple[Work, TaskContext] | None:
        """The next task, which is begun with this; None once there is to be none, or without `wait` when there is
        none."""
        with self._lock:
            while not self._is_stopped:
                work = self._take_queued() if self._leaving is None else None
                if work is not None:
                    context = TaskContext(self, work)
                    self._works[work["argsId"]] = _Work(task=context)
                    self._leases.begin(work["argsId"])
                    return work, context
                if not wait:
                    return None
                self._lock.wait()
            return None

    def finish_task(self, end: TaskEnd, *, clean: bool) -> None:
        """The task that was taken has ended. Not `clean`: it left something behind."""
        frame = end(self._deps.host.offsets())
        with self._lock:
            if not clean and self._leaving is None:
                self._leaving = 0
        self._deps.core.post(lambda: self._end_task(frame))

    def stop(self) -> None:
        """No further task is to be taken."""
        with self._lock:
            self._is_stopped = True
            self._lock.notify_all()

    def say(self, frame: Progress | Emit) -> None:
        """Sends what a running task says. From any thread."""
        self._deps.core.post(lambda: self._say(frame))

    def fetch(self, args_id: str, file: FileValue) -> str:
        """Waits for a file. From any thread but the loop's."""
        fetch = _Fetch()
        self._deps.core.post(lambda: self._fetch(args_id, file.sha256, fetch))
        # In short waits, so that a signal to the process is not kept waiting.
        while not fetch.done.wait(0.5):
            pass
        if fetch.path is None:
            missing: Failure = {"type": "NotFound", "message": "the file is not there", "retryable": True}
            raise RemoteError(fetch.failure or missing)
        return fetch.path

    # On the loop's thread.

    def _say(self, frame: Progress | Emit) -> None:
        work = self._works.get(frame["argsId"])
        if work is None or work.task is None:
            return
        if frame["t"] == "emit":
            work.emits[frame["key"]] = frame
        self._deps.send(frame)

    def _fetch(self, args_id: str, sha256: str, fetch: _Fetch) -> None:
        work = self._works.get(args_id)
        if work is None or work.task is None:
            fetch.done.set()
            return
        work.fetches.setdefault(sha256, []).append(fetch)
        self._deps.send({"t": "fetch", "argsId": args_id, "sha256": sha256})

    def _begin(self, frame: Work) -> None:
        args_id = frame["argsId"]
        if args_id in self._works or args_id in self._over:
            return
        if frame["kind"] == "workflow":
            self._begin_workflow(frame)
        elif frame["name"] not in self._deps.registry.tasks:
            self._end_unknown(frame, "task type")
        else:
            with self._lock:
                self._leases.hold(args_id, frame.get("untilMs"))
                self._works[args_id] = _Work(queued=frame)
                self._queue.append(args_id)
                self._lock.notify_all()
            if self._leaving is not None:
                self._give_back_queued()

    def _begin_workflow(self, frame: Work) -> None:
        definition = self._deps.registry.workflows.get(frame["name"])
        if definition is None:
            self._end_unknown(frame, "workflow")
            return
        host = self._deps.host
        deps = WorkflowDeps(self._deps.core, host.texts, self._deps.send, self._end_work, host.offsets, host.write_line)
        execution = WorkflowExecution(deps, frame)
        self._works[frame["argsId"]] = _Work(execution=execution)
        execution.start(definition)

    def _take_queued(self) -> Work | None:
        """The next work that was not cancelled while it waited. Under the lock."""
        while self._queue:
            work = self._works.get(self._queue.popleft())
            if work is not None and work.queued is not None:
                return work.queued
        return None

    def _receive_of(self, frame: _WorkFrame, work: _Work) -> None:
        args_id = frame["argsId"]
        if frame["t"] == "accepted":
            self._accepted(frame, work)
        elif frame["t"] == "resume":
            self._resume(frame, work)
        elif frame["t"] == "lease":
            self._leases.extend(args_id, frame["untilMs"])
        elif frame["t"] == "cancel":
            self._cancel(args_id, frame["reason"])
        elif frame["t"] == "parked":
            if work.execution is not None:
                work.execution.close()
                self._forget(args_id)
        elif frame["t"] == "fetched":
            for fetch in work.fetches.pop(frame["sha256"], ()):
                fetch.path, fetch.failure = frame.get("path"), frame.get("failure")
                fetch.done.set()
        elif work.execution is not None:
            work.execution.receive(frame)

    def _accepted(self, frame: Accepted, work: _Work) -> None:
        for key in frame.get("emits", ()):
            work.emits.pop(key, None)
        if work.execution is not None:
            work.execution.receive(frame)
        is_end: bool = frame.get("end", False)
        if is_end and work.ended is not None:
            self._forget(frame["argsId"])

    def _resume(self, frame: Resume, work: _Work) -> None:
        for emit in work.emits.values():
            self._deps.send(emit)
        for sha256 in work.fetches:
            self._deps.send({"t": "fetch", "argsId": frame["argsId"], "sha256": sha256})
        if work.execution is not None:
            work.execution.receive(frame)
        if work.ended is not None:
            self._deps.send(work.ended)

    def _cancel(self, args_id: str, reason: str) -> None:
        """A work that is queued is not begun any more, one that runs is told."""
        error = CancelledError(reason, "The task was cancelled")
        with self._lock:
            work = self._works[args_id]
            was_queued = work.queued is not None
            work.queued = None
        if was_queued:
            self._fail_work(args_id, error)
        elif work.task is not None:
            work.task.cancel(reason)

    def _end_unknown(self, frame: Work, what: str) -> None:
        self._works[frame["argsId"]] = _Work()
        self._fail_work(frame["argsId"], UnknownTaskType(f"This release has no {what} '{frame['name']}'."))

    def _fail_work(self, args_id: str, error: BaseException) -> None:
        offsets = self._deps.host.offsets()
        self._end_work({"t": "fail", "argsId": args_id, "offsets": offsets, "failure": failure_of(error)})

    def _end_task(self, end: Done | Fail) -> None:
        self._end_work(end)
        if self._leaving is not None:
            self._give_back_queued()

    def _end_work(self, end: WorkEnd) -> None:
        args_id = end["argsId"]
        work = self._works[args_id]
        if work.ended is not None:
            return
        with self._lock:
            self._works[args_id] = _Work(ended=end, emits=work.emits)
        self._leases.end(args_id)
        for fetches in work.fetches.values():
            for fetch in fetches:
                fetch.done.set()
        self._deps.send(end)

    def _forget(self, args_id: str) -> None:
        with self._lock:
            del self._works[args_id]
        self._over[args_id] = None
        if len(self._over) > _forgotten_max:
            self._over.popitem(last=False)
        if args_id == self._deps.args_id:
            self._leave(0)
        elif self._leaving is not None:
            self._leave(self._leaving)

    def _give_back_queued(self) -> None:
        """Says of what is queued that it will not be begun here, so that it counts no attempt."""
        with self._lock:
            queued = [args_id for args_id in self._queue if args_id in self._works and self._works[args_id].queued]
            self._queue.clear()
            for args_id in queued:
                del self._works[args_id]
        for args_id in queued:
            self._leases.end(args_id)
            self._over[args_id] = None
            self._deps.send({"t": "unbegun", "argsId": args_id})

    def _leave(self, code: int) -> None:
        """Ends the process as soon as nothing that was begun is unanswered."""
        with self._lock:
            if self._leaving is None:
                self._leaving = code
        self._give_back_queued()
        if not self._works:
            self._deps.host.exit(self._leaving)
