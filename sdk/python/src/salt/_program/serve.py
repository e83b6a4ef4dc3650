"""Serves an agent: the loop in a thread of its own, tasks on the main thread.

The main thread is the tasks', as libraries that set signal handlers, open windows or fork expect it; and what blocks
it, in Python or in C, does not keep the program from hearing the agent.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING

from .._declare.registry import Registry
from .._task.execute import execute_task
from .connection import Connection
from .process_host import Process, flush
from .program import Program, ProgramDeps
from .system_core import SystemCore

if TYPE_CHECKING:
    from .._messages.task.from_program import ProgramFrame

_exit_grace_s = 2.0


class Serving:
    """A program at work for an agent, until it is told to quit, or has been alone for too long."""

    def __init__(self, registry: Registry, *, socket: str, session: str, args_id: str | None, lonely_ms: float) -> None:
        self._registry = registry
        self._socket = socket
        self._lonely_ms = lonely_ms
        self._exit_code: int | None = None
        self._is_busy = False
        self._core = SystemCore()
        self._process = Process(self._exit)
        self._connection: Connection | None = None
        self._program = Program(
            ProgramDeps(self._core, registry, self._process, session, os.getpid(), args_id, self._send)
        )

    def run(self) -> int:
        """Executes tasks in this thread, the main one. Returns the exit code."""
        threading.Thread(target=self._run_core, name="salt-core", daemon=True).start()
        while (taken := self._program.take_task()) is not None:
            work, context = taken
            self._is_busy = True
            self._process.enter(work["folder"])
            run = self._process.interruptible(context)
            end = execute_task(context, work, self._registry.tasks[work["name"]], self._process.texts, run)
            is_clean = self._process.leave()
            self._is_busy = False
            self._program.finish_task(end, clean=is_clean)
        return self._exit_code or 0

    def _run_core(self) -> None:
        try:
            self._connection = Connection(
                self._core,
                self._socket,
                hello=self._program.hello,
                receive=self._program.receive,
                give_up=lambda: self._exit(1),
                lonely_ms=self._lonely_ms,
            )
            self._core.run()
        except BaseException:
            # The program is of no use without its loop.
            traceback.print_exc()
            flush()
            os._exit(70)

    def _send(self, frame: ProgramFrame) -> None:
        if self._connection is not None:
            self._connection.send(frame)

    def _exit(self, code: int) -> None:
        """Ends the process as Python does, with its exit handlers; what does not end by itself soon is ended."""
        if self._exit_code is not None:
            return
        self._exit_code = code
        if self._connection is not None:
            self._connection.drain()
        if self._is_busy:
            flush()
            os._exit(code)
        self._core.after(_exit_grace_s * 1000, lambda: os._exit(code))
        self._program.stop()
        sys.stdout.flush()
