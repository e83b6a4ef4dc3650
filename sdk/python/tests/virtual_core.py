"""A loop whose clock stands still until it is moved. What other threads are set to do is waited for."""

from __future__ import annotations

import queue
from collections import deque
from dataclasses import dataclass

from salt.ports import Callback


@dataclass(eq=False)
class _Timer:
    at_ms: float
    callback: Callback
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


class VirtualCore:
    """The `Core` of tests."""

    def __init__(self, start_ms: float = 1_000) -> None:
        self._now_ms = start_ms
        self._turns: deque[Callback] = deque()
        self._posted: queue.Queue[Callback] = queue.Queue()
        self._timers: list[_Timer] = []
        self._expected = 0

    def now_ms(self) -> float:
        return self._now_ms

    def monotonic_ms(self) -> float:
        return self._now_ms

    def soon(self, callback: Callback) -> None:
        self._turns.append(callback)

    def after(self, delay_ms: float, callback: Callback) -> _Timer:
        timer = _Timer(self._now_ms + delay_ms, callback)
        self._timers.append(timer)
        return timer

    def post(self, callback: Callback) -> None:
        self._posted.put(callback)

    def expect(self) -> None:
        self._expected += 1

    def rest(self) -> None:
        """Runs what is to run now, until nothing is."""
        while self._turns or self._expected > 0 or not self._posted.empty():
            if self._turns:
                self._turns.popleft()()
            else:
                callback = self._posted.get(timeout=20)
                self._expected = max(0, self._expected - 1)
                callback()

    def let_pass(self, ms: float) -> None:
        """Lets time pass, running timers as they fall due."""
        end_ms = self._now_ms + ms
        self.rest()
        while True:
            due = [timer for timer in self._timers if timer.at_ms <= end_ms and not timer.is_cancelled]
            if not due:
                break
            timer = min(due, key=lambda one: one.at_ms)
            self._timers.remove(timer)
            self._now_ms = max(self._now_ms, timer.at_ms)
            timer.callback()
            self.rest()
        self._now_ms = end_ms
