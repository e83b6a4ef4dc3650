"""C17, T5: until when works may go on, of those that must not outlast their lease.

An agent that was killed or stopped cannot end them. The process does so itself, from the loop's thread, so that a task
which blocks is ended too, unless it keeps Python's global lock.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ports import Core, Timer


class WorkLeases:
    """Ends the process, by `kill`, when the time of a work that was begun is over."""

    def __init__(self, core: Core, kill: Callable[[], None]) -> None:
        self._core = core
        self._kill = kill
        self._until_ms: dict[str, float] = {}
        self._timers: dict[str, Timer] = {}

    def hold(self, args_id: str, until_ms: float | None) -> None:
        """None for work that may outlast its lease. From the loop's thread."""
        if until_ms is not None:
            self._until_ms[args_id] = until_ms

    def extend(self, args_id: str, until_ms: float) -> None:
        """For what has not ended. From the loop's thread."""
        if args_id in self._until_ms:
            self._until_ms[args_id] = until_ms

    def begin(self, args_id: str) -> None:
        """Watches over a work from now on; one whose time is over is not begun. From any thread."""
        if args_id in self._until_ms:
            self._left_ms(args_id)
            self._core.post(lambda: self._watch(args_id))

    def end(self, args_id: str) -> None:
        """From the loop's thread."""
        self._until_ms.pop(args_id, None)
        timer = self._timers.pop(args_id, None)
        if timer is not None:
            timer.cancel()

    def _watch(self, args_id: str) -> None:
        if args_id in self._until_ms:
            # What has put it off meanwhile is seen then.
            self._timers[args_id] = self._core.after(self._left_ms(args_id), lambda: self._watch(args_id))

    def _left_ms(self, args_id: str) -> float:
        left_ms = self._until_ms[args_id] - self._core.monotonic_ms()
        if left_ms <= 0:
            self._kill()
        return left_ms
