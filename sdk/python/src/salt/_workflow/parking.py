"""Counts the time that a workflow has only waited."""

from __future__ import annotations

from collections.abc import Callable

from ..ports import Core, Timer


class Parking:
    """One timer, moved on lazily, so that an awaited call sets none."""

    def __init__(self, core: Core, park_after_ms: float | None, park: Callable[[], None]) -> None:
        self._core = core
        self._park_after_ms = park_after_ms
        self._park = park
        self._started_ms = core.monotonic_ms()
        self._after_ms: float | None = None
        self._idle_since_ms: float | None = None
        self._timer: Timer | None = None

    def stir(self) -> None:
        """Something happened: the wait starts anew at the next `arm`."""
        self._idle_since_ms = None

    def arm(self) -> None:
        """The workflow is at rest. The first time ends its replay, whose length is the least time before it parks."""
        if self._park_after_ms is None:
            return
        now_ms = self._core.monotonic_ms()
        if self._after_ms is None:
            self._after_ms = max(self._park_after_ms, now_ms - self._started_ms)
        if self._idle_since_ms is None:
            self._idle_since_ms = now_ms
        if self._timer is None:
            self._timer = self._core.after(self._after_ms, self._check)

    def close(self) -> None:
        self._idle_since_ms = None
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _check(self) -> None:
        self._timer = None
        if self._idle_since_ms is None or self._after_ms is None:
            return
        left_ms = self._idle_since_ms + self._after_ms - self._core.monotonic_ms()
        if left_ms > 0:
            self._timer = self._core.after(left_ms, self._check)
        else:
            self._idle_since_ms = None
            self._park()
