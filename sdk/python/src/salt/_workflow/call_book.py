"""The calls that the code has made, beside those that the journal says it made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from .. import limits
from .._values.paths import half_pair, quoted
from ..errors import DuplicateCallKey, JournalTooLong, NonDeterministicWorkflow, SaltError
from .call import Call

if TYPE_CHECKING:
    from .._messages.task.values import CalledEntry

_key_pattern = re.compile(r"[^/@\x00-\x1f\x7f-\x9f][^/\x00-\x1f\x7f-\x9f]*\Z")

_advice = (
    "A workflow must make the same calls each time it is replayed: take what changes (time, random numbers, files, "
    "network) from its input, from tasks, or from now(), random() and uuid()."
)


class CallBook:
    """Calls by key, and the journal's calls that the code has still to make."""

    def __init__(self) -> None:
        self._made: dict[str, Call] = {}
        self._journaled: dict[str, CalledEntry] = {}
        self._counts: dict[str, int] = {}

    def count(self, base: str) -> int:
        """How many of that name there have been, this one included."""
        n = self._counts.get(base, 0) + 1
        self._counts[base] = n
        return n

    def key_for(self, base: str, explicit: str | None) -> str:
        """The key of the next call of that base name, or the explicit one. Raises DuplicateCallKey when it is taken."""
        key = f"{base}#{self.count(base)}" if explicit is None else _checked_key(explicit)
        if key in self._made:
            raise DuplicateCallKey(key)
        return key

    def add(self, call: Call) -> None:
        """Raises NonDeterministicWorkflow when the journal has another under its key, JournalTooLong at 50,000."""
        if len(self._made) >= limits.calls_max:
            raise JournalTooLong(
                f"Cannot call '{call.key}': the run has made {limits.calls_max} calls, as many as one journal holds. "
                "Go on as a new run with restart(input) before that."
            )
        entry = self._journaled.get(call.key)
        if entry is not None:
            _assert_same(entry, call)
            del self._journaled[call.key]
            call.stage, call.body = "journaled", None
        self._made[call.key] = call

    def note(self, entry: CalledEntry) -> None:
        """Takes note of a journaled call. Raises NonDeterministicWorkflow when the code has made another under its
        key."""
        call = self._made.get(entry["key"])
        if call is None:
            self._journaled[entry["key"]] = entry
            return
        _assert_same(entry, call)
        call.stage, call.body = "journaled", None

    def get(self, key: str) -> Call | None:
        return self._made.get(key)

    def all(self) -> Iterable[Call]:
        """Calls in the order in which they were made."""
        return self._made.values()

    def __len__(self) -> int:
        return len(self._made)


def _checked_key(key: str) -> str:
    is_text = isinstance(key, str) and not half_pair.search(key)
    if is_text and len(key) <= limits.call_key_chars_max and _key_pattern.match(key):
        return key
    shown = quoted(key) if isinstance(key, str) else repr(key)
    raise SaltError(
        "BadRequest",
        f"Cannot call under the key {shown}: it is not a valid key.",
        next=f"Use 1 to {limits.call_key_chars_max} printable characters without '/', not beginning with '@'.",
    )


def _side_of(entry: CalledEntry) -> dict[str, object]:
    return {"key": entry["key"], "kind": entry["kind"], "name": entry["name"], "digest": entry["digest"]}


def _assert_same(entry: CalledEntry, call: Call) -> None:
    if entry["kind"] != call.kind:
        differs = f"a {entry['kind']} call"
    elif call.kind != "sleep" and entry["name"] != call.name:
        differs = f"a call of '{entry['name']}'"
    elif entry["digest"] != call.digest:
        differs = f"a call of '{entry['name']}' with other arguments"
    else:
        return
    raise NonDeterministicWorkflow(
        f"The journal holds {differs} under the key '{entry['key']}' (position {entry['p']}), "
        f"but the code now makes a {call.kind} call of '{call.name}' under it. {_advice}",
        {"journal": {**_side_of(entry), "position": entry["p"]}, "program": call.side()},
    )


def missing_call(entry: CalledEntry, unsent: Sequence[Call], raised: BaseException | None) -> NonDeterministicWorkflow:
    """The error for a program at rest, or at its end, that has not made a call which the journal holds."""
    instead = unsent[0] if unsent else None
    if instead is not None:
        does = f"it calls '{instead.name}' under '{instead.key}' instead"
    else:
        does = "it raises instead" if raised is not None else "it waits or has returned"
    error = NonDeterministicWorkflow(
        f"The journal holds a {entry['kind']} call of '{entry['name']}' under the key '{entry['key']}' "
        f"(position {entry['p']}), which the code no longer makes: {does}. {_advice}",
        {
            "journal": {**_side_of(entry), "position": entry["p"]},
            "program": None if instead is None else instead.side(),
        },
    )
    error.__cause__ = raised
    return error
