"""Edge: a parent that has imported the project, and forks a process for each that the agent asks for.

It speaks lines of JSON with the agent over `SALT_FORK_SOCKET`: `hello` with `SALT_FORK_SESSION`; then `fork` is
answered by `forked`, or by `refused`; `exited` tells the end of what was forked.

K1  Nothing is forked while another thread lives: what that one holds locked would stay locked in the child for ever.
K2  What is forked first is a keeper, the leader of a session of its own: it forks the program, waits for it and writes
    its status to the exit file, as a launch wrapper does, whatever becomes of this parent and of the agent.
K3  A program gets nothing of this process but its memory: environment, folders, streams, signals and seeds are its own.
K4  When the agent's end of the socket closes, this process ends. Its children go on.
K5  A program begins only after the agent was told of it: one that was asked for and not answered may be started anew.
"""

from __future__ import annotations

import gc
import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from typing import Any

from .process_host import flush

_ignored_by_keepers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def serve_forks(path: str, session: str) -> None:
    """Returns in each child, which is then a program of its own. In this process it does not return."""
    if not hasattr(os, "fork") or sys.platform == "darwin":
        # System libraries of macOS do not survive a fork without exec.
        sys.exit("This system cannot fork programs.")
    gc.collect()
    # Collections in children write to no page that they share with this process.
    gc.freeze()
    server = _ForkServer(path)
    server.say({"t": "hello", "session": session, "pid": os.getpid()})
    server.serve()


class _ForkServer:
    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(path)
        self._woken, self._waking = socket.socketpair()
        for end in (self._woken, self._waking):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._waking.fileno(), warn_on_full_buffer=False)
        self._keepers: dict[int, int] = {}
        """Ids of what the agent asked for, by the pids of their keepers."""

    def say(self, frame: dict[str, Any]) -> None:
        try:
            self._socket.sendall(json.dumps(frame).encode() + b"\n")
        except OSError:
            os._exit(0)  # K4

    def serve(self) -> None:
        buffered = b""
        with selectors.DefaultSelector() as selector:
            for end in (self._socket, self._woken):
                selector.register(end, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    self._woken.recv(4096)
                    self._reap()
                if self._socket not in ready:
                    continue
                got = self._receive()
                *lines, buffered = (buffered + got).split(b"\n")
                for line in lines:
                    if self._fork(json.loads(line)):
                        return

    def _receive(self) -> bytes:
        try:
            got = self._socket.recv(65536)
        except OSError:
            got = b""
        if not got:
            os._exit(0)  # K4
        return got

    def _fork(self, ask: dict[str, Any]) -> bool:
        """True in the program that was asked for."""
        threads = len(sys._current_frames())
        if threads > 1:  # K1
            why = f"{threads - 1} threads of its modules live in it"
            self.say({"t": "refused", "id": ask["id"], "why": why})
            return False
        flush()
        wait, go = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(go)
            # K5
            if not os.read(wait, 1):
                os._exit(0)
            return self._become_keeper(ask, wait)
        os.close(wait)
        self._keepers[pid] = ask["id"]
        self.say({"t": "forked", "id": ask["id"], "pid": pid})
        os.write(go, b".")
        os.close(go)
        return False

    def _reap(self) -> None:
        for pid, asked in list(self._keepers.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._keepers[pid]
                name = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else None
                self.say({"t": "exited", "id": asked, "signal": name})

    def _become_keeper(self, ask: dict[str, Any], wait: int) -> bool:
        """K2: returns, with True, in the program alone."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(wait)
            for end in (self._socket, self._woken, self._waking):
                end.close()
            _take_streams(ask)
            pid = os.fork()
            if pid == 0:
                _become_program(ask)
                return True
            for number in _ignored_by_keepers:
                signal.signal(number, signal.SIG_IGN)
            _, status = os.waitpid(pid, 0)
            code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            with open(ask["exitFile"], "w") as file:
                file.write(f"{code}\n")
            os._exit(code)
        except BaseException as error:
            print(f"Cannot fork a program: {error}", file=sys.stderr, flush=True)
            os._exit(71)


def _take_streams(ask: dict[str, Any]) -> None:
    for number, name in ((1, ask["stdout"]), (2, ask["stderr"])):
        opened = os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)


def _become_program(ask: dict[str, Any]) -> None:
    """K3"""
    os.environ.clear()
    os.environ.update(ask["env"])
    os.chdir(ask["cwd"])
    time.tzset()
    tempfile.tempdir = None
    # Python's own generator is seeded anew by every fork; NumPy's is not.
    numpy = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "random"):
        numpy.random.seed()
