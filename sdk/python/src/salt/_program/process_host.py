"""Edge: the process around the works: its streams, folders, environment, and what a task leaves behind."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._task.context import TaskContext
from .texts import TextsOnDisk

if TYPE_CHECKING:
    from .._messages.task.from_program import Offsets


class Process:
    """This process. `exit` is how it ends."""

    def __init__(self, exit: Callable[[int], None]) -> None:
        self.texts = TextsOnDisk()
        self._exit = exit
        self._home = os.getcwd()
        if "TMPDIR" not in os.environ:
            os.environ["TMPDIR"] = tempfile.gettempdir()
        self._temporary = os.environ["TMPDIR"]
        self._environment = dict(os.environb)
        self._before: int | None = None
        """Threads and child processes of the program itself, such as those that its modules started."""
        self._interruptible: TaskContext | None = None
        _line_by_line()
        signal.signal(signal.SIGUSR1, self._interrupt)

    def enter(self, folder: str) -> None:
        """Before a task: its folder becomes the working directory and the temporary folder."""
        if self._before is None:
            self._before = count_leftovers()
        os.chdir(folder)
        os.environ["TMPDIR"] = folder
        tempfile.tempdir = None

    def leave(self) -> bool:
        """After a task: everything as at the start. False when threads or child processes are left over."""
        os.chdir(self._home)
        os.environ["TMPDIR"] = self._temporary
        if dict(os.environb) != self._environment:
            os.environb.clear()
            os.environb.update(self._environment)
        tempfile.tempdir = None
        return self._before is not None and count_leftovers() <= self._before

    def interruptible(self, context: TaskContext) -> Callable[[Callable[[], Any]], Any]:
        """Runs a task's code on the main thread such that a cancel raises in it where it stands, as Ctrl-C would."""
        main = threading.main_thread().ident
        assert main is not None

        def run(call: Callable[[], Any]) -> Any:
            context.on_cancel = lambda: signal.pthread_kill(main, signal.SIGUSR1)
            self._interruptible = context
            try:
                if context.cancel_error is not None:
                    raise context.cancel_error
                return call()
            finally:
                self._interruptible = None

        return run

    def _interrupt(self, number: int, frame: Any) -> None:
        context = self._interruptible
        if context is not None and context.cancel_error is not None:
            self._interruptible = None
            raise context.cancel_error

    def offsets(self) -> Offsets:
        flush()
        return {"stdout": _size_of(1), "stderr": _size_of(2)}

    def write_line(self, line: str) -> None:
        print(line)

    def exit(self, code: int) -> None:
        self._exit(code)

    def kill(self) -> None:
        # Its launch wrapper or keeper leads a group for this program alone.
        os.killpg(0, signal.SIGKILL)


def _line_by_line() -> None:
    """Into a file, too, a line is written when it ends: so lines of several threads and of both streams keep their
    order."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, errors="backslashreplace")


def flush() -> None:
    """Writes out what was printed. A stream that a task closed has nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (ValueError, OSError, AttributeError):
            pass


def _size_of(descriptor: int) -> int:
    """The length of the file behind a descriptor; 0 when it is none."""
    try:
        return os.fstat(descriptor).st_size
    except OSError:
        return 0


def count_leftovers() -> int:
    """Threads and child processes of this process, apart from those that multiprocessing keeps for itself."""
    return threading.active_count() + (len(_children() - _helpers()) if _has_children() else 0)


def _has_children() -> bool:
    """Whether there is any child process, in one call of the system."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> set[int]:
    pid = os.getpid()
    children: set[int] = set()
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                children.update(int(child) for child in file.read().split())
    except OSError:
        # Not Linux, or a kernel that does not tell: what multiprocessing knows of.
        module = sys.modules.get("multiprocessing.process")
        if module is not None:
            children.update(child.pid for child in module.active_children() if child.pid)
    return {child for child in children if not _is_zombie(child)}


def _is_zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"
    except OSError:
        return False


def _helpers() -> set[int]:
    tracker = getattr(sys.modules.get("multiprocessing.resource_tracker"), "_resource_tracker", None)
    server = getattr(sys.modules.get("multiprocessing.forkserver"), "_forkserver", None)
    pids = (getattr(tracker, "_pid", None), getattr(server, "_forkserver_pid", None))
    return {pid for pid in pids if pid is not None}
