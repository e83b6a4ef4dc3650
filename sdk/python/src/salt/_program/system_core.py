"""Edge: the loop of a program over the machine's clock and sockets."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ..ports import Callback


class _SystemTimer:
    __slots__ = ("callback", "is_cancelled")

    def __init__(self, callback: Callback) -> None:
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class SystemCore:
    """One thread that runs callbacks, timers and sockets until it is stopped."""

    def __init__(self) -> None:
        self._turns: deque[Callback] = deque()
        self._posted: deque[Callback] = deque()
        self._timers: list[tuple[float, int, _SystemTimer]] = []
        self._order = itertools.count()
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        self._selector.register(self._wake_in, selectors.EVENT_READ, self._drain)
        self._is_awake = False
        self._is_stopped = False
        self._thread = threading.get_ident()

    def now_ms(self) -> float:
        return time.time() * 1000

    def monotonic_ms(self) -> float:
        return time.monotonic() * 1000

    def soon(self, callback: Callback) -> None:
        self._turns.append(callback)

    def after(self, delay_ms: float, callback: Callback) -> _SystemTimer:
        timer = _SystemTimer(callback)
        heapq.heappush(self._timers, (self.monotonic_ms() + delay_ms, next(self._order), timer))
        return timer

    def post(self, callback: Callback) -> None:
        self._posted.append(callback)
        if not self._is_awake and threading.get_ident() != self._thread:
            self._is_awake = True
            try:
                os.write(self._wake_out, b"!")
            except BlockingIOError:
                pass

    def expect(self) -> None:
        """Nothing: it waits for whatever comes."""

    def watch(self, file: Any, events: int, ready: Callable[[int], None]) -> None:
        """Calls `ready` with what the socket is ready for. `events` as of selectors; 0: no more."""
        known = file in self._selector.get_map()
        if events == 0:
            if known:
                self._selector.unregister(file)
        elif known:
            self._selector.modify(file, events, ready)
        else:
            self._selector.register(file, events, ready)

    def run(self) -> None:
        """Runs in this thread until `stop`."""
        self._thread = threading.get_ident()
        while not self._is_stopped:
            for key, events in self._selector.select(self._patience_s()):
                key.data(events)
            self._run_timers()
            self._run_posted()
            while self._turns:
                self._turns.popleft()()

    def stop(self) -> None:
        self._is_stopped = True

    def _patience_s(self) -> float | None:
        if self._turns or self._posted:
            return 0
        while self._timers and self._timers[0][2].is_cancelled:
            heapq.heappop(self._timers)
        return max(0.0, (self._timers[0][0] - self.monotonic_ms()) / 1000) if self._timers else None

    def _run_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self.monotonic_ms():
            timer = heapq.heappop(self._timers)[2]
            if not timer.is_cancelled:
                timer.callback()

    def _run_posted(self) -> None:
        for _ in range(len(self._posted)):
            self._posted.popleft()()

    def _drain(self, events: int) -> None:
        try:
            while os.read(self._wake_in, 4096):
                pass
        except BlockingIOError:
            pass
        self._is_awake = False
