"""Values that Python has no type of its own for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class BigInt(int):
    """A whole number that travels as a `bigint` also when a double would hold it, as TypeScript's `bigint` does.

    Plain ints beyond ±(2**53 - 1) travel so by themselves.
    """


class Map(dict[K, V]):
    """A dict that travels as a `map`, as TypeScript's `Map` does, also when all of its keys are strings or it is
    empty."""


@dataclass(frozen=True)
class FileValue:
    """Bytes in the blob store, up to 5 GiB. Two with the same digest are the same file.

    `sha256` in hex, `bytes` the size; `name` is what people call it, and never used as a path.
    """

    sha256: str
    bytes: int
    name: str | None = None
    media_type: str | None = None


class RefLike:
    """What marks an object as a ref: the future output of the call `key`."""

    key: str


escaped_key = re.compile(r"\$+salt\Z")
"""Keys that an encoder writes with one more `$`, so that `$salt` alone is Salt's."""

sha256_text = re.compile(r"[0-9a-f]{64}\Z")
bigint_text = re.compile(r"(0|-?[1-9][0-9]*)\Z")
decimal_text = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,9})?\Z")
