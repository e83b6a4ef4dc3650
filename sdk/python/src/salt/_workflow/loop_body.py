"""Async workflows: each run has an event loop of its own, that is stepped until nothing is ready.

L1  The loop knows no sockets, threads or clock of the machine: what a run awaits is Salt's, or asyncio's own pieces
    (gather, wait, TaskGroup, Queue, Event, timeout) over it. Everything else raises WrongPlace.
L2  Its timers are durable pauses: `asyncio.sleep(5)` is `sleep(5)`, and needs no process while it lasts.
"""

# mypy: disable-error-code="override, abstract, attr-defined"
# typeshed's loop is more exact about callbacks than a subclass can say, and does not know of methods set at import.
from __future__ import annotations

import asyncio
import contextvars
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from ..errors import WrongPlace
from .body import Abandoned
from .call import Deferred

Pause = Callable[[float], Deferred]
"""A durable pause of so many milliseconds."""


class RunLoop(asyncio.AbstractEventLoop):
    """The event loop of one run."""

    def __init__(self, now_ms: Callable[[], float], pause: Pause) -> None:
        self._ready: deque[asyncio.Handle] = deque()
        self._now_ms = now_ms
        self._pause = pause
        self.is_shut = False
        self.tasks: dict[asyncio.Task[Any], None] = {}
        """Those that are not done, in the order in which they were made."""

    def run_until_rest(self) -> None:
        """Runs what is ready, and what that makes ready, until nothing is."""
        events._set_running_loop(self)
        try:
            while self._ready:
                handle = self._ready.popleft()
                if not handle.cancelled():
                    self._run(handle)
        finally:
            events._set_running_loop(None)

    @staticmethod
    def _run(handle: asyncio.Handle) -> None:
        try:
            handle._run()
        except (SystemExit, KeyboardInterrupt):
            # A task keeps them as its outcome, too.
            pass

    def call_soon(self, callback: Any, *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self.is_shut:
            self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        deferred = self._pause(max(0.0, float(f"{delay * 1000:.12g}")))
        deferred.on_done(lambda: self._timer_done(timer, deferred, args))
        return timer

    def call_at(
        self, when: float, callback: Any, *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_later(max(0.0, when - self.time()), callback, *args, context=context)

    def _timer_done(self, timer: asyncio.TimerHandle, deferred: Deferred, args: tuple[Any, ...]) -> None:
        if timer.cancelled() or self.is_shut:
            return
        if deferred.error is None:
            self._ready.append(timer)
        elif args and isinstance(args[0], asyncio.Future) and not args[0].done():
            # The future that the timer was to resolve, as asyncio.sleep has one.
            args[0].set_exception(deferred.error)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def time(self) -> float:
        return self._now_ms() / 1000

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **options)
        self.tasks[task] = None
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self.tasks.pop(task, None)

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self.is_shut

    def is_closed(self) -> bool:
        return self.is_shut

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody awaited is nobody's failure, as with refs."""

    async def shutdown_asyncgens(self) -> None:
        pass


def _refused(name: str) -> Any:
    def refuse(self: RunLoop, *args: Any, **kwargs: Any) -> Any:
        raise WrongPlace(
            f"Cannot use the event loop's {name} in a workflow: it awaits nothing but Salt's own. Do it in a task."
        )

    return refuse


_refused_names = (
    "call_soon_threadsafe run_in_executor getaddrinfo getnameinfo create_connection create_server start_tls "
    "create_unix_connection create_unix_server create_datagram_endpoint connect_read_pipe connect_write_pipe "
    "subprocess_shell subprocess_exec add_reader add_writer sock_recv sock_sendall sock_connect sock_accept sendfile "
    "add_signal_handler run_forever run_until_complete"
)
for _name in _refused_names.split():
    setattr(RunLoop, _name, _refused(_name))
# Now that they are there, the class is no abstract one in these.
RunLoop.__abstractmethods__ = frozenset()


def new_loop(now_ms: Callable[[], float], pause: Pause) -> RunLoop:
    """A loop for one run."""
    return RunLoop(now_ms, pause)


class LoopBody:
    """Runs a coroutine on a RunLoop, on the loop's thread of the program. `ended` is called once."""

    def __init__(
        self,
        loop: RunLoop,
        context: contextvars.Context,
        main: Callable[[], Coroutine[Any, Any, Any]],
        ended: Callable[[Any, BaseException | None], None],
    ) -> None:
        self._loop = loop
        self._context = context
        self._main = main
        self._ended = ended
        self._task: asyncio.Task[Any] | None = None

    def run(self, rested: Callable[[], None]) -> None:
        if self._task is None:
            self._task = self._context.run(self._begin)
        self._loop.run_until_rest()
        rested()

    def _begin(self) -> asyncio.Task[Any]:
        task = self._loop.create_task(self._main())
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            self._ended(None, asyncio.CancelledError())
        else:
            error = task.exception()
            self._ended(None if error is not None else task.result(), error)

    def wait_async(self, deferred: Deferred) -> Generator[Any, None, Any]:
        if not deferred.done:
            if self._loop.is_shut:
                raise Abandoned
            # One future for each who waits, as cancelling a waiter cancels its future.
            future = self._loop.create_future()
            deferred.on_done(lambda: None if future.done() else future.set_result(None))
            yield from future
        return deferred.get()

    def wait_sync(self, deferred: Deferred) -> Any:
        if deferred.done:
            return deferred.get()
        raise WrongPlace("Cannot use .result() in an async workflow: await it.")

    def close(self) -> None:
        if self._loop.is_shut:
            return
        self._loop.is_shut = True
        self._loop._ready.clear()
        for task in list(self._loop.tasks):
            self._context.run(_let_go, task)
        self._loop.tasks.clear()


_throws_max = 10


def _let_go(task: asyncio.Task[Any]) -> None:
    """Closes the coroutine, whose `finally` blocks run; what they call has no effect any more."""
    task._log_destroy_pending = False
    coroutine = task.get_coro()
    try:
        # One that awaits once more on its way out is told again.
        for _ in range(_throws_max if coroutine is not None else 0):
            coroutine.throw(Abandoned())
    except BaseException:
        # It has been let go of: nothing that it raises is of interest.
        pass
