"""Calls of a workflow, and what becomes of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from .. import limits
from .._program.texts import Texts, text_of, to_program_value
from .._values.decode import decode_value
from .._values.encode import encode_value
from ..errors import CancelledError, TaskFailed, TimedOut

if TYPE_CHECKING:
    from .._messages.common.options import TaskOptions
    from .._messages.common.outcomes import Failure
    from .._messages.task.values import Call as ProgramCall
    from .._messages.task.values import EventCall, SignalCall, SleepCall, TaskCall, Value, WorkflowCall

Kind = Literal["task", "workflow", "sleep", "signal", "event"]


class _OutcomeOptional(TypedDict, total=False):
    value: Value
    failure: Failure


class Outcome(_OutcomeOptional):
    """What became of a call, as the journal's entry says it."""

    outcome: Literal["succeeded", "failed", "cancelled", "timedOut"]


class Deferred:
    """An output to come, for any number of waiters. Settled on the loop's thread."""

    __slots__ = ("_callbacks", "done", "error", "value")

    def __init__(self) -> None:
        self.done = False
        self.value: Any = None
        self.error: BaseException | None = None
        self._callbacks: list[Callable[[], None]] = []

    def settle(self, value: Any = None, error: BaseException | None = None) -> None:
        """The first time stands."""
        if self.done:
            return
        self.done, self.value, self.error = True, value, error
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def on_done(self, callback: Callable[[], None]) -> None:
        """Called once, at once when it has settled."""
        if self.done:
            callback()
        else:
            self._callbacks.append(callback)

    def get(self) -> Any:
        """The value; raises the error. Only once it is done."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        return self.value


@dataclass
class Body:
    """What a call says besides its key and digest. The argument's text is kept until the call is journaled."""

    kind: Kind
    name: str
    text: str = "null"
    refs: list[str] = field(default_factory=list)
    options: TaskOptions | None = None
    detached: bool = False
    for_ms: float | None = None
    """Of a sleep, as `until_ms` is."""
    until_ms: float | None = None
    timeout_ms: float | None = None
    """Of a wait for a signal or an event."""
    match: dict[str, str | float | bool | None] | None = None
    """Of a wait for an event."""

    @property
    def base(self) -> str:
        """What keys without an explicit one are counted by; `/` is not allowed in a key."""
        if self.kind in ("task", "workflow"):
            return self.name.replace("/", ":")
        return "sleep" if self.kind == "sleep" else f"{self.kind}:{self.name}"

    def digest(self) -> str:
        """The SHA-256 that tells, on replay, whether a call is still made with the same arguments."""
        text = self.text if self.kind in ("task", "workflow") else self._wait_text()
        return hashlib.sha256(text.encode()).hexdigest()

    def _wait_text(self) -> str:
        said = {
            "name": None if self.kind == "sleep" else self.name,
            "forMs": self.for_ms,
            "untilMs": self.until_ms,
            "match": self.match,
            "timeoutMs": self.timeout_ms,
        }
        return encode_value({name: part for name, part in said.items() if part is not None})


@dataclass(eq=False)
class Call:
    """One call that the code has made.

    `state`: `open` until its settlement is delivered; then `settled`, with the outcome kept for whoever awaits it
    later; `resolved` once the code has been told. `stage`: `unsent`, `sent`, `journaled`.
    """

    key: str
    body: Body | None
    kind: Kind
    name: str
    digest: str
    shielded: bool
    accept: Callable[[Any], Any] | None
    """Makes of the decoded value what the code gets, such as by a type."""
    state: Literal["open", "settled", "resolved"] = "open"
    stage: Literal["unsent", "sent", "journaled"] = "unsent"
    outcome: Outcome | None = None
    deferred: Deferred | None = None
    """Somebody awaits it."""

    @property
    def is_of_task(self) -> bool:
        """Only outputs of tasks and child runs stay behind until they are asked for."""
        return self.kind in ("task", "workflow")

    def side(self) -> dict[str, object]:
        """What a contradiction says of it."""
        return {"key": self.key, "kind": self.kind, "name": self.name, "digest": self.digest}


def new_call(key: str, body: Body, *, shielded: bool, accept: Callable[[Any], Any] | None = None) -> Call:
    """A call that has not been made known to anybody."""
    name = "sleep" if body.kind == "sleep" else body.name
    return Call(key, body, body.kind, name, body.digest(), shielded, accept)


def call_frame(call: Call, body: Body, texts: Texts, folder: str) -> ProgramCall:
    """A call as it is sent: its argument inline or in a file of the work folder."""
    frame = _task_frame(call, body, texts, folder) if call.is_of_task else _wait_frame(call, body)
    if call.shielded:
        frame["shielded"] = True
    return frame


def _task_frame(call: Call, body: Body, texts: Texts, folder: str) -> ProgramCall:
    input = to_program_value(texts, folder, body.text)
    frame: TaskCall | WorkflowCall
    if body.kind == "task":
        frame = {"key": call.key, "digest": call.digest, "kind": "task", "name": body.name, "input": input}
        if body.options:
            frame["options"] = body.options
    else:
        frame = {"key": call.key, "digest": call.digest, "kind": "workflow", "name": body.name, "input": input}
    if len(body.refs) > limits.refs_inline_max:
        # Many refs travel as a value of their own: a line has room for few of them.
        keys = json.dumps(body.refs, ensure_ascii=False, separators=(",", ":"))
        frame["manyRefs"] = to_program_value(texts, folder, keys)
    elif body.refs:
        frame["refs"] = body.refs
    if call.deferred is not None:
        frame["awaited"] = True
    if body.detached:
        frame["detached"] = True
    return frame


def _wait_frame(call: Call, body: Body) -> ProgramCall:
    if body.kind == "sleep":
        return _sleep_frame(call, body)
    frame: SignalCall | EventCall
    if body.kind == "signal":
        frame = {"key": call.key, "digest": call.digest, "kind": "signal", "name": body.name}
    else:
        frame = {"key": call.key, "digest": call.digest, "kind": "event", "name": body.name}
        if body.match is not None:
            frame["match"] = body.match
    if body.timeout_ms is not None:
        frame["timeoutMs"] = body.timeout_ms
    return frame


def _sleep_frame(call: Call, body: Body) -> SleepCall:
    frame: SleepCall = {"key": call.key, "digest": call.digest, "kind": "sleep"}
    if body.for_ms is not None:
        frame["forMs"] = body.for_ms
    if body.until_ms is not None:
        frame["untilMs"] = body.until_ms
    return frame


def is_complete(call: Call, values: dict[str, Value]) -> bool:
    """Whether what the code is to be told is here: a failure always is, an output may be still to come."""
    outcome = call.outcome
    if outcome is None:
        return False
    return outcome["outcome"] != "succeeded" or call.kind == "sleep" or "value" in outcome or call.key in values


def tell_call(call: Call, value: Value | None, texts: Texts) -> None:
    """Tells the code, which is at rest."""
    deferred, outcome = call.deferred, call.outcome
    call.state, call.outcome = "resolved", None
    if deferred is None or outcome is None:
        return
    how, failure = outcome["outcome"], outcome.get("failure")
    message = None if failure is None else failure["message"]
    if how == "failed":
        unknown: Failure = {"type": "Unknown", "message": "the failure was not given", "retryable": False}
        deferred.settle(error=TaskFailed(call.key, call.name, failure or unknown))
    elif how == "cancelled":
        reason = message or "the run was cancelled"
        deferred.settle(error=CancelledError(reason, f"'{call.key}' was cancelled"))
    elif how == "timedOut":
        deferred.settle(error=TimedOut(call.key, message))
    else:
        try:
            decoded = None if value is None else decode_value(text_of(texts, value))
            deferred.settle(decoded if call.accept is None else call.accept(decoded))
        except Exception as error:
            deferred.settle(error=error)


def cancel_call(call: Call, reason: str) -> None:
    """Settles a call as cancelled, before the journal says so."""
    call.state = "settled"
    call.outcome = {
        "outcome": "cancelled",
        "failure": {"type": "CancelledError", "message": reason, "retryable": False},
    }


def plain_number(number: float) -> float | int:
    """A whole number as an int, so that it is written without a point."""
    return int(number) if float(number).is_integer() else number
