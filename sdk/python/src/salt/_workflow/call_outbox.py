"""What a workflow has still to tell the agent: calls, and which outputs it wants.

O1  While the work is a replay no call is sent, since it may be in the part of the journal still to come.
O2  A sent call is kept until the agent has accepted it or the journal shows it (T2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .. import limits
from .._program.texts import Texts
from .call import Call, call_frame

if TYPE_CHECKING:
    from .._messages.task.from_program import Await, Calls
    from .._messages.task.values import Call as ProgramCall
    from .._messages.task.values import Value

_calls_per_frame_max = 256
_frame_chars_max = limits.frame_bytes_max // 2
_keys_per_frame_max = 1_000


class CallOutbox:
    """Of one piece of work. Calls are added by the code, the rest happens on the loop's thread, while the code
    rests."""

    def __init__(self, args_id: str, folder: str, texts: Texts, send: Callable[[Calls | Await], None]) -> None:
        self._args_id = args_id
        self._folder = folder
        self._texts = texts
        self._send = send
        self._calls: list[Call] = []
        self._asks: dict[Call, bool] = {}
        self._asked: dict[Call, None] = {}
        self._kept: dict[str, ProgramCall] = {}
        self._sent_keys: list[str] = []
        self.accepted_count = 0
        """How many of the calls sent by this process, from the first on without gap, are known to be safe."""

    def add_call(self, call: Call) -> None:
        self._calls.append(call)

    def ask(self, call: Call, *, now: bool) -> None:
        """The output of a call is wanted. `now`: delivery waits for it, so ask also during a replay."""
        if call not in self._asked:
            self._asks[call] = now or self._asks.get(call, False)

    def unsent(self) -> list[Call]:
        """Calls that are not journaled and not sent."""
        return [call for call in self._calls if call.stage == "unsent"]

    @property
    def unsent_count(self) -> int:
        return len(self._calls)

    @property
    def quiet(self) -> bool:
        """Whether every call is sent and safe."""
        return not self._calls and not self._kept

    def journaled(self, key: str) -> None:
        """The journal shows the call."""
        self._kept.pop(key, None)
        while self.accepted_count < len(self._sent_keys) and self._sent_keys[self.accepted_count] not in self._kept:
            self.accepted_count += 1

    def accepted(self, count: int) -> None:
        """The first `count` calls sent by this process are safe."""
        while self.accepted_count < min(count, len(self._sent_keys)):
            self._kept.pop(self._sent_keys[self.accepted_count], None)
            self.accepted_count += 1

    def flush(self, *, given: int, replaying: bool) -> None:
        """Sends what may be sent."""
        if not replaying and self._calls:
            self._send_calls([frame for call in self._calls for frame in self._frames_of(call)], given)
            self._calls = []
        if not self._asks:
            return
        wanted: list[Call] = []
        for call, now in list(self._asks.items()):
            if replaying and not now and call.state != "resolved":
                continue
            del self._asks[call]
            if call.state != "resolved":
                self._asked[call] = None
                wanted.append(call)
        self._send_asks(wanted)

    def resume(self, given: int) -> None:
        """Sends again what a new connection may not know."""
        self._send_calls(list(self._kept.values()), given)
        self._send_asks([call for call in self._asked if call.state != "resolved"])

    def _frames_of(self, call: Call) -> Iterable[ProgramCall]:
        if call.body is None or call.stage != "unsent":
            return ()
        frame = call_frame(call, call.body, self._texts, self._folder)
        call.stage, call.body = "sent", None
        self._kept[call.key] = frame
        self._sent_keys.append(call.key)
        if call.deferred is not None:
            self._asks.pop(call, None)
        return (frame,)

    def _send_calls(self, frames: list[ProgramCall], given: int) -> None:
        for batch in _in_batches(frames):
            self._send({"t": "calls", "argsId": self._args_id, "given": given, "calls": batch})

    def _send_asks(self, wanted: list[Call]) -> None:
        for start in range(0, len(wanted), _keys_per_frame_max):
            keys = [call.key for call in wanted[start : start + _keys_per_frame_max]]
            self._send({"t": "await", "argsId": self._args_id, "keys": keys})


def _in_batches(calls: list[ProgramCall]) -> Iterable[list[ProgramCall]]:
    """Frames of at most 256 calls and about 512 KiB."""
    batch: list[ProgramCall] = []
    chars = 0
    for call in calls:
        size = 300 + _chars_of(call)
        if batch and (len(batch) >= _calls_per_frame_max or chars + size > _frame_chars_max):
            yield batch
            batch, chars = [], 0
        batch.append(call)
        chars += size
    if batch:
        yield batch


def _chars_of(call: ProgramCall) -> int:
    if call["kind"] != "task" and call["kind"] != "workflow":
        return 0
    inline = _inline_chars(call["input"])
    if "manyRefs" in call:
        inline += _inline_chars(call["manyRefs"])
    return inline + sum(len(key) + 3 for key in call.get("refs", ()))


def _inline_chars(value: Value) -> int:
    return len(value["json"]) if "json" in value else 0
