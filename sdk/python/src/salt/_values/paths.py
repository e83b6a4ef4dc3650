"""Places within a value: object keys, list positions, and `<n>` for the n-th pair of a map or member of a set."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

Step = str | int

plain_key = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*\Z")
half_pair = re.compile("[\ud800-\udfff]")


class BadValue(Exception):
    """What is wrong with a value. The containers around it add their steps while it passes through them."""

    def __init__(self, what: str, next: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.next = next
        self.steps: list[Step] = []

    @property
    def path(self) -> str:
        return path_text(self.steps[::-1])


def path_text(steps: Sequence[Step]) -> str:
    """`$.orders[3]["first name"]`, where `$` is the whole value."""
    return "$" + "".join(_step_text(step) for step in steps)


def _step_text(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if step.startswith("<"):
        return step
    return f".{step}" if plain_key.match(step) else f"[{quoted(step)}]"


def quoted(text: str) -> str:
    """The text as JSON has it, with halves of surrogate pairs as escapes."""
    return half_pair.sub(lambda half: f"\\u{ord(half.group()):04x}", json.dumps(text, ensure_ascii=False))


def well_formed(text: str) -> str:
    """The text with each half of a surrogate pair replaced by U+FFFD."""
    return half_pair.sub("�", text)
