"""Sync workflows: each run has a thread of its own, which the loop sets going and which parks where it waits.

B1  The function goes on only between `run` and `rested`. Nothing is delivered to its run meanwhile, so what it does is
    decided by the journal alone, as if it were on the loop's thread.
B2  The loop does not wait for the thread: a function that blocks elsewhere delays its own run, and no other.
B3  A thread that is let go of unwinds by an exception, so that none is left over.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Generator
from typing import Any

from ..errors import WrongPlace
from ..ports import Core
from .body import Abandoned
from .call import Deferred


class ThreadBody:
    """Runs `main` in a thread. `ended` is called there, once, with its value or its exception."""

    def __init__(
        self,
        core: Core,
        context: contextvars.Context,
        main: Callable[[], Any],
        ended: Callable[[Any, BaseException | None], None],
        name: str,
    ) -> None:
        self._core = core
        self._context = context
        self._main = main
        self._ended = ended
        self._name = name
        self._thread: threading.Thread | None = None
        self._baton = threading.Semaphore(0)
        self._waiting: Deferred | None = None
        self._rested: Callable[[], None] = lambda: None
        self._is_over = False
        self._is_closed = False

    def run(self, rested: Callable[[], None]) -> None:
        if self._is_over or (self._waiting is not None and not self._waiting.done):
            rested()
            return
        self._rested = rested
        self._core.expect()
        if self._thread is None:
            self._thread = threading.Thread(target=self._context.run, args=(self._run,), name=self._name, daemon=True)
            self._thread.start()
        else:
            self._waiting = None
            self._baton.release()

    def _run(self) -> None:
        try:
            value, error = self._main(), None
        except BaseException as raised:
            value, error = None, raised
        self._is_over = True
        if not self._is_closed:
            self._ended(value, error)
        self._core.post(self._rested)

    def wait_sync(self, deferred: Deferred) -> Any:
        if threading.current_thread() is not self._thread:
            raise WrongPlace("Cannot wait in a thread of a workflow's own: it waits in the thread that it runs in.")
        if self._is_closed:
            raise Abandoned
        if not deferred.done:
            self._waiting = deferred
            self._core.post(self._rested)
            self._baton.acquire()
            if self._is_closed:
                raise Abandoned
        return deferred.get()

    def wait_async(self, deferred: Deferred) -> Generator[Any, None, Any]:
        raise WrongPlace("Cannot await in a sync workflow: declare it with 'async def', or use .result().")
        yield

    def close(self) -> None:
        self._is_closed = True
        if self._thread is not None and not self._is_over:
            self._core.expect()
            self._rested = lambda: None
            self._baton.release()
