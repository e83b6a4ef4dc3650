"""The line to the agent, as lines of JSON over a socket."""

from __future__ import annotations

import json
import random
import selectors
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from .. import limits
from ..ports import Timer
from .system_core import SystemCore

if TYPE_CHECKING:
    from .._messages.task.from_agent import AgentToProgramFrame
    from .._messages.task.from_program import Hello, ProgramFrame

_backoff_first_ms, _backoff_max_ms = 20, 1_000
_line_bytes_max = 16 * limits.program_line_bytes_max


class Connection:
    """Dials again, with back-off and jitter, for as long as the process lives, or until no agent was there for
    `lonely_ms`. Frames of one turn of the loop go out in one write."""

    def __init__(
        self,
        core: SystemCore,
        path: str,
        *,
        hello: Callable[[], Hello],
        receive: Callable[[AgentToProgramFrame], None],
        give_up: Callable[[], None],
        lonely_ms: float,
    ) -> None:
        self._core = core
        self._path = path
        self._hello = hello
        self._receive = receive
        self._give_up = give_up
        self._lonely_ms = lonely_ms
        self._socket: socket.socket | None = None
        self._failures = 0
        self._lonely: Timer | None = None
        self._lines: list[bytes] = []
        self._out = bytearray()
        self._in = bytearray()
        self._start_lonely()
        self._dial()

    def send(self, frame: ProgramFrame) -> None:
        """Dropped while there is no connection."""
        if self._socket is None:
            return
        self._lines.append(json.dumps(frame, ensure_ascii=False, separators=(",", ":")).encode())
        if len(self._lines) == 1:
            self._core.soon(self.flush)

    def flush(self) -> None:
        """Writes what waits, as far as the agent takes it."""
        if self._socket is None:
            return
        if self._lines:
            self._out += b"\n".join(self._lines) + b"\n"
            self._lines = []
        try:
            while self._out:
                sent = self._socket.send(self._out)
                del self._out[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._lost()
            return
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)
        self._core.watch(self._socket, wanted, self._ready)

    def drain(self) -> None:
        """Writes all of what waits, for the last time: blocks for at most a second."""
        self.flush()
        if self._socket is not None and self._out:
            self._socket.settimeout(1)
            try:
                self._socket.sendall(self._out)
            except OSError:
                pass

    def _start_lonely(self) -> None:
        if self._lonely is None:
            self._lonely = self._core.after(self._lonely_ms, self._give_up)

    def _dial(self) -> None:
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            dialled.connect(self._path)
        except OSError:
            dialled.close()
            self._dial_later()
            return
        dialled.setblocking(False)
        self._socket = dialled
        self._failures = 0
        if self._lonely is not None:
            self._lonely.cancel()
            self._lonely = None
        self._in.clear()
        self.send(self._hello())
        self.flush()

    def _dial_later(self) -> None:
        self._start_lonely()
        bound = min(_backoff_max_ms, _backoff_first_ms * 2 ** min(self._failures, 10))
        self._failures += 1
        self._core.after(bound * (0.5 + random.random() / 2), self._dial)

    def _lost(self) -> None:
        if self._socket is None:
            return
        self._core.watch(self._socket, 0, self._ready)
        self._socket.close()
        self._socket = None
        self._lines = []
        self._out.clear()
        self._dial_later()

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_READ:
            self._read()
        if events & selectors.EVENT_WRITE:
            self.flush()

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            chunk = self._socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._lost()
            return
        self._in += chunk
        end = self._in.rfind(b"\n")
        if end < 0:
            # The agent is trusted; a line without end is a broken one.
            if len(self._in) > _line_bytes_max:
                self._lost()
            return
        lines = bytes(self._in[:end]).split(b"\n")
        del self._in[: end + 1]
        for line in lines:
            if line:
                # The agent is trusted: what it sends is what the protocol says.
                frame: AgentToProgramFrame = json.loads(line)
                self._receive(frame)
