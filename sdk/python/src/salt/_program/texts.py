"""Encoded values as files of a work folder: those that are too large for a line."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from .. import limits

if TYPE_CHECKING:
    from .._messages.task.from_agent import Work
    from .._messages.task.values import Value


class Texts(Protocol):
    """Port to the files that hold encoded values."""

    def read(self, path: str) -> str:
        """The whole text."""

    def write(self, folder: str, text: bytes) -> str:
        """Writes a new file in `folder` and answers its absolute path."""


class TextsOnDisk:
    """Edge: the files themselves."""

    def __init__(self) -> None:
        self._count = itertools.count(1)

    def read(self, path: str) -> str:
        return Path(path).read_text("utf-8")

    def write(self, folder: str, text: bytes) -> str:
        path = os.path.join(folder, f".salt-value-{os.getpid()}-{next(self._count)}.json")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text)
        return path


def text_of(texts: Texts, value: Value) -> str:
    """The text of a value, wherever it is."""
    return value["json"] if "json" in value else texts.read(value["path"])


def to_program_value(texts: Texts, folder: str, text: str) -> Value:
    """Inline up to 16 KiB of UTF-8, beyond that a file in the work folder."""
    if len(text) * 4 <= limits.inline_bytes_max:
        return {"json": text}
    encoded = text.encode()
    if len(encoded) <= limits.inline_bytes_max:
        return {"json": text}
    return {"path": texts.write(folder, encoded), "bytes": len(encoded)}


def oversize(text: str) -> int | None:
    """The size in bytes when it is beyond what a value may have, else None."""
    if len(text) * 4 <= limits.value_bytes_max:
        return None
    size = len(text.encode())
    return size if size > limits.value_bytes_max else None


def refs_of(texts: Texts, work: Work) -> dict[str, Value]:
    """The outputs that came with a work's input, by key; many of them are in a file."""
    if "manyRefs" in work:
        refs: dict[str, Value] = json.loads(texts.read(work["manyRefs"]["path"]))
        return refs
    return work.get("refs", {})
