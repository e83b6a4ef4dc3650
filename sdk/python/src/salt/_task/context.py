"""What a task can do with the machine."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .._declare.options import checked_emit_key, checked_name
from .._program.texts import Texts, to_program_value
from .._types.external import file_kind_of
from .._values.encode import encode_value
from .._values.types import FileValue
from ..errors import CancelledError

if TYPE_CHECKING:
    from .._messages.task.from_agent import Work
    from .._messages.task.from_program import Emit, Progress


class TaskHost(Protocol):
    """What stands between a task and the world. The socket and the local run each provide it. Called from any
    thread."""

    @property
    def texts(self) -> Texts: ...

    def say(self, frame: Progress | Emit) -> None:
        """Sends a frame; an `emit` is kept until it is accepted."""

    def fetch(self, args_id: str, file: FileValue) -> str:
        """Waits for the path of a file's bytes. Raises RemoteError."""


@dataclass(frozen=True)
class MadeFile:
    """A file of the attempt's own."""

    file: FileValue
    path: str


class TaskContext:
    """What a task's function is given besides its input, as the parameter annotated with it, or by `salt.context()`.

    `attempt` is counted from 1. `folder` is the attempt's own, empty at first, and the working directory. `task` is
    `run_…/key`, for people and logs. `cancelled` is set when the attempt is to end (cancel, timeout, a lost lease): a
    sync function on the main thread is then interrupted by CancelledError, an async one by asyncio's; threads of its
    own look at it, or wait for it.
    """

    def __init__(self, host: TaskHost, work: Work) -> None:
        self.attempt = work["attempt"]
        self.folder = Path(work["folder"])
        self.task = work["task"]
        self.args_id = work["argsId"]
        self.cancelled = threading.Event()
        self.cancel_error: CancelledError | None = None
        self.on_cancel: Callable[[], None] = lambda: None
        self.made: dict[FileValue, str] = {}
        self._host = host
        self._emitted: dict[str, int] = {}
        self._saved = 0

    def progress(self, fraction: float | str | None = None, message: str | None = None) -> None:
        """Shows how far the attempt is: a fraction from 0 to 1, a message, or both. May be lost."""
        if isinstance(fraction, str):
            fraction, message = None, fraction
        frame: Progress = {"t": "progress", "argsId": self.args_id}
        if fraction is not None and fraction == fraction:
            frame["fraction"] = min(1.0, max(0.0, float(fraction)))
        if message is not None:
            frame["message"] = message[:1_000]
        self._host.say(frame)

    def emit(self, name: str, value: Any, *, key: str | None = None) -> None:
        """Sends an event out of the task before it ends. The same key is sent once, also over attempts.

        Default key: `<name>#<n>`. Raises UnencodableValue, and SaltError `BadRequest` for what is no name or key.
        """
        checked_name("value's", name)
        n = self._emitted.get(name, 0) + 1
        self._emitted[name] = n
        self._host.say(
            {
                "t": "emit",
                "argsId": self.args_id,
                "key": f"{name}#{n}" if key is None else checked_emit_key(key),
                "name": name,
                "value": to_program_value(self._host.texts, str(self.folder), encode_value(value)),
            }
        )

    def log(self, message: str, **fields: Any) -> None:
        """Writes one line to the task's log: the message, and the fields as JSON."""
        print(message if not fields else f"{message} {json.dumps(fields, default=str)}")

    def file(
        self, path: str | os.PathLike[str], *, name: str | None = None, media_type: str | None = None
    ) -> FileValue:
        """Makes a file of the folder part of the output: `return {"report": ctx.file("report.csv")}`. Up to 5 GiB.

        `path` is relative to the folder, or absolute within it. Raises OSError when it cannot be read.
        """
        absolute = self.folder / path
        digest = hashlib.sha256()
        size = 0
        with absolute.open("rb") as opened:
            while chunk := opened.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
        file = FileValue(digest.hexdigest(), size, absolute.name if name is None else name, media_type)
        self.made[file] = str(absolute)
        return file

    def path_of(self, file: FileValue) -> Path:
        """The path of a file that came with the input, fetched if it has to be; waits for it. Raises RemoteError."""
        made = self.made.get(file)
        return Path(self._host.fetch(self.args_id, file) if made is None else made)

    def to_file(self, value: Any) -> FileValue | None:
        """Saves an array or a table in the folder, as npy or Arrow IPC; None for what is neither."""
        kind = file_kind_of(type(value))
        if kind is None:
            return None
        self._saved += 1
        path = self.folder / f".salt-{type(value).__name__.lower()}-{self._saved}{kind.suffix}"
        kind.save(value, path)
        return self.file(path, media_type=kind.media_type)

    def cancel(self, reason: str) -> None:
        """The attempt is to end soon."""
        if self.cancel_error is None:
            self.cancel_error = CancelledError(reason, "The task was cancelled")
            self.cancelled.set()
            self.on_cancel()
