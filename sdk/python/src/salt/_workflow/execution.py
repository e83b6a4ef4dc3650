"""One piece of workflow work: the user's function, run over the journal. Frames in, frames out; no I/O.

W1  Journal entries are delivered one at a time in journal order. After one that the code was told of, the code comes to
    rest before the next: an async function's event loop has nothing ready, a sync one waits for a result.
W2  An entry is delivered only after all calls journaled before it have been made. At rest with one of them not made,
    the run fails as NonDeterministicWorkflow.
W3  Awaiting a call that has already settled takes a rest too, in the order of awaiting and before further entries,
    whether or not its output has to be fetched: so live and replay agree.
W4  While an output is being fetched nothing else is delivered.
W5  Calls are sent at rest, so that `await call()` says at once that the output is wanted.
W6  While the code runs, frames wait: it and the loop's thread never touch this at the same time.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal, NoReturn
from uuid import UUID

from .. import limits
from .._declare.registry import WorkflowDefinition
from .._program.texts import to_program_value
from ..ambient import WorkflowAmbient, current_workflow, enter
from ..errors import CancelledError, JournalTooLong, NonDeterministicWorkflow, WrongPlace
from ..failure import failure_of
from .body import Body as RunningBody
from .body import RestartRequested
from .call import Body, Call, Deferred, cancel_call, is_complete, new_call, plain_number, tell_call
from .call_book import CallBook, missing_call
from .call_outbox import CallOutbox
from .deps import CallSite, FrameToWorkflow, WorkflowDeps
from .encode_argument import encode_argument
from .entry_queue import EntryQueue
from .mailboxes import Mailboxes
from .make_body import MakeBody, make_body
from .parking import Parking
from .ref import Ref
from .run_function import only_cancel
from .seeded import seeded_random, seeded_uuid

if TYPE_CHECKING:
    from .._messages.task.from_agent import Work
    from .._messages.task.values import Entry, SettledEntry, SignalEntry, Value

Step = Literal["passed", "told", "held", "idle"]

_unsent_max = 256


class WorkflowExecution:
    """Phases: `resting` → `waking` (a turn is to come) → `running` (the code goes on) → `turning` → `resting`;
    `ended`."""

    def __init__(self, deps: WorkflowDeps, work: Work) -> None:
        self.args_id = work["argsId"]
        self._deps = deps
        self._work = work
        self._book = CallBook()
        self._mailboxes = Mailboxes()
        self._entries = EntryQueue()
        self._outbox = CallOutbox(work["argsId"], work["folder"], deps.texts, deps.send)
        self._parking = Parking(deps.core, work.get("parkAfterMs"), self._park)
        self._values: dict[str, Value] = {}
        self._late: deque[Call] = deque()
        """Awaited after they had settled, in the order of awaiting (W3)."""
        self._now_ms = work.get("openedAtMs", 0)
        self._cancelled: str | None = None
        self._restart: str | None = None
        self._broken: BaseException | None = None
        """What the run fails over at the next rest, whatever the code makes of it."""
        self._returned: str | None = None
        self._raised: BaseException | None = None
        self._phase: Literal["resting", "waking", "running", "turning", "ended"] = "resting"
        self._again = False
        self._inbox: list[FrameToWorkflow] = []
        self.body: RunningBody
        self._definition: WorkflowDefinition

    @property
    def given(self) -> int:
        """Position of the last journal entry received."""
        return self._entries.given

    @property
    def accepted_calls(self) -> int:
        """How many of the calls sent by this process are known to be safe."""
        return self._outbox.accepted_count

    def start(self, definition: WorkflowDefinition) -> None:
        """Begins to run the function; what it does becomes frames at the next rest."""
        self._definition = definition
        core, texts, context = self._deps.core, self._deps.texts, enter(WorkflowAmbient(self))
        made_with = MakeBody(core, texts, self._work, context, self.now_ms, self._pause, self._body_ended)
        self.body = make_body(definition, made_with)
        self._wake()

    def receive(self, frame: FrameToWorkflow) -> None:
        """Takes a `settled`, `values`, `accepted` or `resume`."""
        if self._phase == "ended":
            return
        if self._phase == "running":
            self._inbox.append(frame)
            return
        if not self._take_frame(frame):
            return
        self._parking.stir()
        # With nothing under way the program is at rest, so the entry can be delivered at once.
        if self._phase == "resting":
            self._turn()
        else:
            self._wake()

    def unread(self) -> list[tuple[str, Value]]:
        """Signals that arrived and that no wait took."""
        return self._mailboxes.unread()

    def close(self) -> None:
        """Forgets the work: it is parked, has ended, or has gone elsewhere."""
        if self._phase == "ended":
            return
        self._phase = "ended"
        self._parking.close()
        self.body.close()

    def fail(self, error: BaseException) -> None:
        """Fails the work, not to be retried."""
        if self._is_ended():
            return
        failure = failure_of(error, retryable=False)
        self.close()
        args_id, offsets, given = self.args_id, self._deps.offsets(), self.given
        self._deps.end({"t": "fail", "argsId": args_id, "offsets": offsets, "failure": failure, "given": given})

    # What the function calls.

    def call_named(
        self, kind: Literal["task", "workflow"], name: str, argument: Any, site: CallSite, accept: Any = None
    ) -> Ref[Any]:
        text, refs = self._encode(f"call '{name}'", argument)
        body = Body(kind, name, text, refs, site.get("options"), site.get("detached", False))
        return self.call(body, site.get("key"), site["shielded"], accept)

    def now_ms(self) -> float:
        return self._now_ms

    def random(self) -> float:
        return seeded_random(self._work.get("seed", ""), self._book.count("random"))

    def uuid(self) -> UUID:
        return seeded_uuid(self._work.get("seed", ""), self._book.count("uuid"))

    def restart(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
        text, refs = self._encode("restart", self._definition.signature.bind(args, kwargs))
        if refs:
            raise WrongPlace("Cannot restart: the input holds a ref. Await it and pass the value.")
        self._restart = text
        raise RestartRequested

    def want(self, call: Call) -> Deferred:
        """A call's output; made when first wanted."""
        if call.deferred is not None:
            return call.deferred
        call.deferred = Deferred()
        if self._phase == "ended":
            return call.deferred
        if call.state == "open" and self._cancelled is not None and not call.shielded:
            cancel_call(call, self._cancelled)
        if call.state == "settled":
            self._late.append(call)
        elif call.stage != "unsent" and call.is_of_task:
            self._outbox.ask(call, now=False)
        return call.deferred

    def _pause(self, ms: float) -> Deferred:
        shielded = current_workflow("sleep").shielded
        return self.call(Body("sleep", "sleep", for_ms=plain_number(ms)), None, shielded)._want()[1]

    def _encode(self, what: str, argument: Any) -> tuple[str, list[str]]:
        return encode_argument(what, argument, lambda ref: isinstance(ref, Ref) and ref.execution is self)

    def call(self, body: Body, explicit: str | None, shielded: bool, accept: Any = None) -> Ref[Any]:
        # Code that is left over when its work has ended gets a ref that never settles: it stops where it awaits it.
        if self._phase == "ended":
            return Ref(self, new_call(body.base, body, shielded=shielded))
        key = self._book.key_for(body.base, explicit)
        if self._cancelled is not None and not shielded:
            raise CancelledError(self._cancelled)
        call = new_call(key, body, shielded=shielded, accept=accept)
        try:
            self._book.add(call)
        except (NonDeterministicWorkflow, JournalTooLong) as error:
            self._broken = self._broken or error
            raise
        if call.stage == "unsent":
            self._outbox.add_call(call)
        if body.kind == "signal":
            self._mailboxes.wait(body.name, call)
        if len(self._book) == limits.calls_warn_at:
            self._deps.warn(
                f"The run has made {limits.calls_warn_at} calls; at {limits.calls_max} it fails with JournalTooLong. "
                "Consider going on as a new run with restart(input)."
            )
        return Ref(self, call)

    def _body_ended(self, text: str | None, error: BaseException | None) -> None:
        self._returned, self._raised = text, error

    # Delivery.

    def _take_frame(self, frame: FrameToWorkflow) -> bool:
        """False when the work failed over it."""
        if frame["t"] == "settled":
            return all(self._take_entry(entry) for entry in frame["entries"])
        if frame["t"] == "values":
            self._values.update(frame["values"])
        elif frame["t"] == "accepted":
            if "calls" in frame:
                self._outbox.accepted(frame["calls"])
        elif frame["t"] == "resume":
            self._outbox.resume(self.given)
        return True

    def _take_entry(self, entry: Entry) -> bool:
        given = self.given
        taken = self._entries.add(entry)
        if taken == "gap":
            self.fail(RuntimeError(f"Journal entry {entry['p']} came after {given}: the journal has a gap."))
            return False
        if taken == "old" or entry["e"] != "called":
            return True
        self._outbox.journaled(entry["key"])
        try:
            self._book.note(entry)
        except NonDeterministicWorkflow as error:
            self.fail(error)
            return False
        return True

    def _wake(self) -> None:
        if self._phase == "turning":
            self._again = True
        if self._phase != "resting":
            return
        self._phase = "waking"
        self._parking.stir()
        self._deps.core.soon(self._go_on)

    def _go_on(self) -> None:
        if self._phase != "waking":
            return
        self._phase = "running"
        self.body.run(self._rested)

    def _rested(self) -> None:
        if self._phase != "running":
            return
        self._phase = "turning"
        if self._broken is not None:
            self.fail(self._broken)
            return
        inbox, self._inbox = self._inbox, []
        if all(self._take_frame(frame) for frame in inbox):
            self._turn()

    def _turn(self) -> None:
        """At rest: delivers what can be delivered, up to the first thing that the code is told of."""
        self._phase = "turning"
        step = self._step()
        while step == "passed":
            step = self._step()
        if self._is_ended():
            return
        # More may be called over the entries at hand; one frame then carries it all.
        hold = step == "told" and self._outbox.unsent_count < _unsent_max
        if not hold:
            self._outbox.flush(given=self.given, replaying=self._replaying)
        again, self._again = self._again, False
        self._phase = "resting"
        if step == "told" or again:
            self._wake()
        elif step == "idle":
            self._settle_down()

    def _is_ended(self) -> bool:
        return self._phase == "ended"

    @property
    def _is_running(self) -> bool:
        """The function has neither returned nor raised."""
        return self._returned is None and self._raised is None

    @property
    def _replaying(self) -> bool:
        return self.given < int(self._work.get("journalEnd", 0))

    def _step(self) -> Step:
        """`told`: the code was told and must come to rest. `held`: an output is being fetched (W4)."""
        if self._is_running and self._late:
            return self._tell_late()
        entry = self._entries.head()
        if entry is None:
            return "idle"
        # A function that has returned is told nothing more: what is left is compared with the calls it made (W2).
        if entry["e"] == "settled" and self._is_running:
            return self._deliver_settled(entry)
        if entry["e"] == "called" and self._book.get(entry["key"]) is None:
            self.fail(missing_call(entry, self._outbox.unsent(), self._raised))
            return "idle"
        self._entries.take()
        if entry["e"] == "cancel" and self._is_running:
            self._now_ms = entry["at"]
            return self._deliver_cancel(entry["reason"])
        return self._deliver_signal(entry) if entry["e"] == "signal" else "passed"

    def _tell_late(self) -> Step:
        call = self._late[0]
        if not is_complete(call, self._values):
            for waiting in self._late:
                if not is_complete(waiting, self._values):
                    self._outbox.ask(waiting, now=True)
            return "held"
        self._late.popleft()
        return self._tell(call)

    def _tell(self, call: Call) -> Step:
        kept = self._values.pop(call.key, None)
        value = kept if call.outcome is None else call.outcome.get("value", kept)
        tell_call(call, value, self._deps.texts)
        return "told"

    def _deliver_signal(self, entry: SignalEntry) -> Step:
        if not self._is_running:
            self._mailboxes.keep(entry["name"], entry["value"])
            return "passed"
        self._now_ms = entry["at"]
        call = self._mailboxes.arrive(entry["name"], entry["value"])
        return "passed" if call is None or call.deferred is None else self._tell(call)

    def _deliver_settled(self, entry: SettledEntry) -> Step:
        call = self._book.get(entry["key"])
        # A wait for a signal ends by the signal's own entry, or by its timeout.
        if call is None or call.state != "open" or (call.kind == "signal" and entry["outcome"] == "succeeded"):
            self._now_ms = entry["at"]
            self._entries.take()
            return "passed"
        call.outcome = entry
        if call.deferred is not None and not is_complete(call, self._values):
            self._outbox.ask(call, now=True)
            return "held"
        self._now_ms = entry["at"]
        self._entries.take()
        call.state = "settled"
        return "passed" if call.deferred is None else self._tell(call)

    def _deliver_cancel(self, reason: str) -> Step:
        self._cancelled = reason
        told: Step = "passed"
        for call in list(self._book.all()):
            if call.state == "open" and not call.shielded and call.deferred is not None:
                cancel_call(call, reason)
                told = self._tell(call)
        return told

    # Rest and end.

    def _settle_down(self) -> None:
        if self._replaying:
            return
        if self._is_running:
            self._parking.arm()
        else:
            self._finish()

    def _finish(self) -> None:
        text = self._returned if self._restart is None else self._restart
        if text is not None:
            self._succeed(to_program_value(self._deps.texts, self._work["folder"], text))
        elif self._raised is not None:
            self.fail(only_cancel(self._raised) if self._cancelled is not None else self._raised)

    def _succeed(self, value: Value) -> None:
        self.close()
        args_id, offsets, given = self.args_id, self._deps.offsets(), self.given
        if self._restart is not None:
            self._deps.end({"t": "restart", "argsId": args_id, "offsets": offsets, "input": value, "given": given})
        else:
            self._deps.end({"t": "done", "argsId": args_id, "offsets": offsets, "output": value, "given": given})

    def _park(self) -> None:
        """Asks to be let go when nothing but the journal can move the code."""
        if self._phase != "resting" or self._replaying or not self._is_running or not self._outbox.quiet:
            return
        if self._late or self._entries.head() is not None:
            return
        waiting = [call.key for call in self._book.all() if call.state == "open" and call.deferred is not None]
        if waiting:
            self._deps.send({"t": "park", "argsId": self.args_id, "given": self.given, "awaiting": waiting})
