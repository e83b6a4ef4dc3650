"""Journal entries that were received, in order, of which the first ones are delivered."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .._messages.task.values import Entry


class EntryQueue:
    """`given` is the position of the last entry received."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self.given = 0

    def add(self, entry: Entry) -> Literal["added", "old", "gap"]:
        """`old`: it came before (after a lost connection). `gap`: entries before it are missing."""
        if entry["p"] <= self.given:
            return "old"
        if entry["p"] != self.given + 1:
            return "gap"
        self.given = entry["p"]
        self._entries.append(entry)
        return "added"

    def head(self) -> Entry | None:
        """The next to be delivered."""
        return self._entries[0] if self._entries else None

    def take(self) -> None:
        """The head is delivered."""
        self._entries.popleft()
