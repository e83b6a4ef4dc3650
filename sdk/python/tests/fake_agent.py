"""An agent for tests: a real Unix socket and a real process, with frames written and checked by hand."""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Frame = dict[str, Any]

tests_folder = Path(__file__).parent
patience_s = 20.0


class FakeAgent:
    """Listens, starts the program of an entry module, and talks to it."""

    def __init__(self, entry: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="salt-py-"))
        self._entry = entry
        self._frames: queue.Queue[Frame] = queue.Queue()
        self._kept: list[Frame] = []
        self._connection: socket.socket | None = None
        self._connected = threading.Event()
        self._count = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._listen()

    @property
    def socket_path(self) -> str:
        return str(self.folder / "s")

    def _listen(self) -> None:
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.socket_path)
        self._server.listen()
        threading.Thread(target=self._accept, args=(self._server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self._connection = connection
            self._connected.set()
            threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("r", encoding="utf-8") as lines:
                for line in lines:
                    self._frames.put(json.loads(line))
        except OSError:
            pass

    def spawn(self, *args: str, env: dict[str, str] | None = None) -> FakeAgent:
        """Starts the program, with a cleared environment as an agent does."""
        clean = {"PATH": "/usr/bin:/bin", "SALT_SOCKET": self.socket_path, "SALT_SESSION": "secret"}
        with (self.folder / "stdout").open("ab") as stdout, (self.folder / "stderr").open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(tests_folder / self._entry), *args],
                env={**clean, **(env or {})},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        return self

    def started(self, *args: str) -> FakeAgent:
        """Starts the program and hears its hello."""
        self.spawn(*args)
        self.next("hello")
        return self

    def work(self, kind: str, name: str, input: Any = None, **more: Any) -> Frame:
        """Work with a folder of its own."""
        self._count += 1
        folder = self.folder / f"work-{self._count}"
        folder.mkdir()
        args_id = f"a{self._count}"
        return {
            "t": "work",
            "argsId": args_id,
            "kind": kind,
            "name": name,
            "task": f"run_{'0' * 28}/{args_id}",
            "attempt": 1,
            "input": {"json": json.dumps(input)},
            "folder": str(folder),
            **more,
        }

    def send(self, *frames: Frame) -> None:
        assert self._connection is not None
        self._connection.sendall("".join(json.dumps(frame) + "\n" for frame in frames).encode())

    def any(self, timeout_s: float = patience_s) -> Frame | None:
        """The next frame, or None when none comes in time."""
        if self._kept:
            return self._kept.pop(0)
        try:
            return self._frames.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def next(self, t: str, fits: Callable[[Frame], bool] = lambda frame: True) -> Frame:
        """The next frame of that kind that fits; others are kept."""
        passed: list[Frame] = []
        try:
            while True:
                frame = self.any()
                if frame is None:
                    raise AssertionError(f"No '{t}' came, but {passed}. stderr:\n{self.output('stderr')}")
                if frame["t"] == t and fits(frame):
                    return frame
                passed.append(frame)
        finally:
            self._kept = [*passed, *self._kept]

    def rest(self) -> None:
        """Waits until no thread of the program has anything to do."""
        assert self.process is not None
        before, now = None, _activity(self.process.pid)
        while before != now or "R" in now or "D" in now:
            time.sleep(0.004)
            before, now = now, _activity(self.process.pid)

    def left(self, timeout_s: float = 0.1) -> list[Frame]:
        """All frames that are left or come within so many seconds."""
        frames = []
        while (frame := self.any(timeout_s)) is not None:
            frames.append(frame)
        return frames

    def execute(self, name: str, input: Any = None, **more: Any) -> Frame:
        """Has one task executed and accepted."""
        work = self.work("task", name, input, **more)
        self.send(work)
        done = self.next("done", lambda frame: frame["argsId"] == work["argsId"])
        self.send({"t": "accepted", "argsId": work["argsId"], "end": True})
        return done

    def exit_code(self) -> int:
        """As a shell says it: 128 and the signal's number of a program that was ended by one."""
        assert self.process is not None
        code = self.process.wait(patience_s)
        return code if code >= 0 else 128 - code

    def output(self, stream: str) -> str:
        return (self.folder / stream).read_text() if (self.folder / stream).exists() else ""

    def cut(self) -> None:
        """Cuts the connection; the program dials again."""
        assert self._connection is not None
        self._connected.clear()
        self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()

    def restart(self) -> None:
        """The agent dies and comes back: nobody listens in between."""
        self._server.close()
        os.unlink(self.socket_path)
        self.cut()
        self._listen()

    def close(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._server.close()
        if self._connection is not None:
            self._connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _activity(pid: int) -> str:
    """What each thread is at, and how long it has been on a processor."""
    threads = []
    for task in sorted(Path(f"/proc/{pid}/task").glob("*")):
        try:
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            threads.append(f"{state} {(task / 'schedstat').read_text()}")
        except OSError:
            # It has ended meanwhile.
            continue
    return "".join(threads)


def value_of(frame: Frame, name: str = "output") -> Any:
    """The JSON of an inline value."""
    return json.loads(frame[name]["json"])
