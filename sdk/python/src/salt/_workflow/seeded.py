"""Chance that is the same on every replay."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID


def _hmac(seed: str, key: str) -> bytes:
    return hmac.new(seed.encode(), key.encode(), hashlib.sha256).digest()


def seeded_random(seed: str, n: int) -> float:
    """The n-th random number of a run, in [0, 1): the first 53 bits of HMAC-SHA256(seed, `random#<n>`) over 2**53."""
    return (int.from_bytes(_hmac(seed, f"random#{n}")[:8], "big") >> 11) / 2**53


def seeded_uuid(seed: str, n: int) -> UUID:
    """The n-th UUID of a run: the first 16 bytes of HMAC-SHA256(seed, `uuid#<n>`) with the marks of version 4."""
    return UUID(bytes=_hmac(seed, f"uuid#{n}")[:16], version=4)
