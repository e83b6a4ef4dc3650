"""Signals of a run by name."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .call import Call

if TYPE_CHECKING:
    from .._messages.task.values import Value


@dataclass
class _Box:
    arrived: deque[Value] = field(default_factory=deque)
    waiting: deque[Call] = field(default_factory=deque)


class Mailboxes:
    """Arrivals in journal order, and waits in the order of their calls. The n-th wait that has not ended otherwise
    takes the n-th arrival."""

    def __init__(self) -> None:
        self._boxes: dict[str, _Box] = {}

    def _box(self, name: str) -> _Box:
        return self._boxes.setdefault(name, _Box())

    def arrive(self, name: str, value: Value) -> Call | None:
        """Hands an arrival to the first open wait and answers it, or keeps it for the next."""
        box = self._box(name)
        while box.waiting:
            call = box.waiting.popleft()
            if call.state == "open":
                _take(call, value)
                return call
        box.arrived.append(value)
        return None

    def keep(self, name: str, value: Value) -> None:
        """Keeps an arrival, whoever waits."""
        self._box(name).arrived.append(value)

    def wait(self, name: str, call: Call) -> None:
        """Gives a new wait the first arrival that nobody took, if any."""
        box = self._box(name)
        if box.arrived:
            _take(call, box.arrived.popleft())
        else:
            box.waiting.append(call)

    def unread(self) -> list[tuple[str, Value]]:
        """Arrivals that nobody took."""
        return [(name, value) for name, box in self._boxes.items() for value in box.arrived]


def _take(call: Call, value: Value) -> None:
    call.state = "settled"
    call.outcome = {"outcome": "succeeded", "value": value}
