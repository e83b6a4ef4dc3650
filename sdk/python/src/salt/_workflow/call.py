"""Calls of a workflow, and what becomes of them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from .. import limits
from .._program.texts import ProgramValue, Texts, to_program_value
from .._values.decode import decode_value
from .._values.encode import encode_value

Entry = dict[str, Any]
Kind = Literal["task", "workflow", "sleep", "signal", "event"]


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
    options: dict[str, Any] = field(default_factory=dict)
    detached: bool = False
    wait: dict[str, Any] = field(default_factory=dict)
    """What a sleep, a signal or an event says: `forMs`, `untilMs`, `timeoutMs`, `match`."""

    @property
    def base(self) -> str:
        """What keys without an explicit one are counted by; `/` is not allowed in a key."""
        if self.kind in ("task", "workflow"):
            return self.name.replace("/", ":")
        return "sleep" if self.kind == "sleep" else f"{self.kind}:{self.name}"

    def digest(self) -> str:
        """The SHA-256 that tells, on replay, whether a call is still made with the same arguments."""
        if self.kind in ("task", "workflow"):
            text = self.text
        else:
            name = {} if self.kind == "sleep" else {"name": self.name}
            text = encode_value({**name, **self.wait})
        return hashlib.sha256(text.encode()).hexdigest()


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
    outcome: dict[str, Any] | None = None
    deferred: Deferred | None = None
    """Somebody awaits it."""

    @property
    def is_of_task(self) -> bool:
        """Only outputs of tasks and child runs stay behind until they are asked for."""
        return self.kind in ("task", "workflow")

    def side(self) -> dict[str, Any]:
        """What a contradiction says of it."""
        return {"key": self.key, "kind": self.kind, "name": self.name, "digest": self.digest}


def new_call(key: str, body: Body, *, shielded: bool, accept: Callable[[Any], Any] | None = None) -> Call:
    """A call that has not been made known to anybody."""
    name = "sleep" if body.kind == "sleep" else body.name
    return Call(key, body, body.kind, name, body.digest(), shielded, accept)


def call_frame(call: Call, body: Body, texts: Texts, folder: str) -> dict[str, Any]:
    """A call as it is sent: its argument inline or in a file of the work folder."""
    frame: dict[str, Any] = {"key": call.key, "digest": call.digest, "kind": body.kind}
    if body.kind != "sleep":
        frame["name"] = body.name
    if call.shielded:
        frame["shielded"] = True
    if not call.is_of_task:
        return {**frame, **body.wait}
    frame["input"] = to_program_value(texts, folder, body.text)
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
    if body.options:
        frame["options"] = body.options
    return frame


def is_complete(call: Call, values: dict[str, ProgramValue]) -> bool:
    """Whether what the code is to be told is here: a failure always is, an output may be still to come."""
    outcome = call.outcome
    if outcome is None:
        return False
    return outcome["outcome"] != "succeeded" or call.kind == "sleep" or "value" in outcome or call.key in values


def tell_call(call: Call, value: ProgramValue | None, texts: Texts) -> None:
    """Tells the code, which is at rest."""
    from .._program.texts import text_of
    from ..errors import CancelledError, TaskFailed, TimedOut

    deferred, outcome = call.deferred, call.outcome
    call.state, call.outcome = "resolved", None
    if deferred is None or outcome is None:
        return
    how, failure = outcome["outcome"], outcome.get("failure")
    message = None if failure is None else failure["message"]
    if how == "failed":
        unknown = {"type": "Unknown", "message": "the failure was not given", "retryable": False}
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
