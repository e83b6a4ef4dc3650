"""How the SDK's core meets time: one loop of turns, behind which is the machine or, in tests, a clock that is moved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Callback = Callable[[], None]


class Timer(Protocol):
    """A callback that is to come."""

    def cancel(self) -> None:
        """It does not come any more."""


class Core(Protocol):
    """The loop on which a program's logic runs: one thread, one callback at a time."""

    def now_ms(self) -> float:
        """Milliseconds since the Unix epoch."""

    def monotonic_ms(self) -> float:
        """Milliseconds of a clock that never goes back."""

    def soon(self, callback: Callback) -> None:
        """In a later turn, in order. From the loop's own thread."""

    def after(self, delay_ms: float, callback: Callback) -> Timer:
        """Once so much time has passed. From the loop's own thread."""

    def post(self, callback: Callback) -> None:
        """In a later turn. From any thread."""

    def expect(self) -> None:
        """Another thread has been set going, and will post once."""
