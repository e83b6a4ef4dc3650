"""The journal of one run in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .._workflow.call import Outcome
from ..ports import Core

if TYPE_CHECKING:
    from .._messages.task.values import Call, CalledEntry, Entry, Value


@dataclass(eq=False)
class _Settling:
    call: Call
    outcome: Outcome | None = None
    waiting: list[Callable[[Outcome], None]] = field(default_factory=list)

    def settle(self, outcome: Outcome) -> None:
        self.outcome = outcome
        waiting, self.waiting = self.waiting, []
        for told in waiting:
            told(outcome)


@dataclass
class _Mailbox:
    """Signals that no wait has taken, and waits that none has come for: at most one of the two has members."""

    unread: deque[Value] = field(default_factory=deque)
    waiting: deque[_Settling] = field(default_factory=deque)


class LocalJournal:
    """Entries get a position and a time, and each call settles once."""

    def __init__(self, core: Core, deliver: Callable[[Entry], None]) -> None:
        self._core = core
        self._deliver = deliver
        self._calls: dict[str, _Settling] = {}
        self._mailboxes: dict[str, _Mailbox] = {}
        self._position = 0

    def signal(self, name: str, value: Value) -> None:
        """Journals a signal."""
        p, at = self._next()
        self._deliver({"p": p, "at": at, "e": "signal", "id": name, "name": name, "value": value})
        self._mailbox(name).unread.append(value)
        self._match_signals(name)

    def cancel(self, reason: str) -> None:
        """Journals that the run is cancelled."""
        p, at = self._next()
        self._deliver({"p": p, "at": at, "e": "cancel", "reason": reason})

    def call(self, call: Call) -> bool:
        """Journals a call; False when it is already there."""
        if call["key"] in self._calls:
            return False
        settling = _Settling(call)
        self._calls[call["key"]] = settling
        p, at = self._next()
        name = "sleep" if call["kind"] == "sleep" else call["name"]
        entry: CalledEntry = {
            "p": p,
            "at": at,
            "e": "called",
            "key": call["key"],
            "kind": call["kind"],
            "name": name,
            "digest": call["digest"],
        }
        self._deliver(entry)
        if call["kind"] == "signal":
            self._mailbox(call["name"]).waiting.append(settling)
            self._match_signals(call["name"])
        return True

    def settle(self, key: str, outcome: Outcome) -> None:
        """Settles a call unless it has settled."""
        settling = self._calls.get(key)
        if settling is None or settling.outcome is not None:
            return
        p, at = self._next()
        self._deliver({"p": p, "at": at, "e": "settled", "key": key, **outcome})
        settling.settle(outcome)

    def when_settled(self, key: str, told: Callable[[Outcome], None]) -> None:
        """Tells of a call's outcome, at once when it has settled."""
        settling = self._calls[key]
        if settling.outcome is not None:
            told(settling.outcome)
        else:
            settling.waiting.append(told)

    def open(self) -> list[Call]:
        """Calls that have not settled, in journal order."""
        return [one.call for one in self._calls.values() if one.outcome is None]

    def _next(self) -> tuple[int, float]:
        """The position and the time of the next entry."""
        self._position += 1
        return self._position, self._core.now_ms()

    def _mailbox(self, name: str) -> _Mailbox:
        return self._mailboxes.setdefault(name, _Mailbox())

    def _match_signals(self, name: str) -> None:
        """The signal's own entry says that the wait is over; whoever was given its ref is told here."""
        box = self._mailbox(name)
        while box.waiting and box.waiting[0].outcome is not None:
            box.waiting.popleft()
        if box.waiting and box.unread:
            box.waiting.popleft().settle({"outcome": "succeeded", "value": box.unread.popleft()})
