"""The journal of one run, kept while its programs come and go, and one program at work on it."""

from __future__ import annotations

import itertools
import json
import random
from typing import Any

from virtual_core import VirtualCore

from salt._declare.registry import declared
from salt._messages.task.from_agent import Work
from salt._messages.task.from_program import Offsets
from salt._messages.task.values import Call, Entry, Value
from salt._workflow.call import Outcome
from salt._workflow.deps import FrameOfWorkflow, WorkEnd, WorkflowDeps
from salt._workflow.execution import WorkflowExecution


class TextsInMemory:
    """Files that hold encoded values, without a disk."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def read(self, path: str) -> str:
        return self.files[path]

    def write(self, folder: str, text: bytes) -> str:
        path = f"{folder}/value-{len(self.files) + 1}.json"
        self.files[path] = text.decode()
        return path


class FakeJournal:
    """Entries in order, and calls by key, with whether they have settled."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.calls: dict[str, Call] = {}
        self.settled: dict[str, Outcome] = {}
        self.append({"e": "note", "kind": "opened"})

    def append(self, entry: dict[str, Any]) -> None:
        """Gives an entry its place."""
        p = len(self.entries) + 1
        placed: Any = {**entry, "p": p, "at": 10_000 + p}
        self.entries.append(placed)

    def call(self, call: Call) -> None:
        known = self.calls.get(call["key"])
        if known is not None:
            assert (known["digest"], known["kind"]) == (call["digest"], call["kind"]), call["key"]
            return
        self.calls[call["key"]] = call
        name = "sleep" if call["kind"] == "sleep" else call["name"]
        self.append({"e": "called", "name": name, "key": call["key"], "kind": call["kind"], "digest": call["digest"]})

    def open(self) -> list[Call]:
        return [call for key, call in self.calls.items() if key not in self.settled]

    def settle(self, key: str, outcome: Outcome) -> None:
        if key in self.calls and key not in self.settled:
            self.append({"e": "settled", "key": key, **outcome})
            self.settled[key] = outcome


class FakeWork:
    """An execution, and what an agent would keep about it."""

    _names = itertools.count()

    def __init__(self, core: VirtualCore, journal: FakeJournal, *, name: str, input: Any, replay_end: int = 0) -> None:
        self.sent: list[Call] = []
        self.asked: list[str] = []
        self.end: WorkEnd | None = None
        self.given = 0
        self.parks = 0
        self.warnings: list[str] = []
        self._awaited: set[str] = set()
        self._journal = journal
        self._replay_end = replay_end
        work: Work = {
            "t": "work",
            "argsId": "w",
            "kind": "workflow",
            "name": name,
            "task": "run",
            "attempt": 1,
            "input": {"json": json.dumps(input)},
            "folder": "/w",
            "seed": "seed",
            "openedAtMs": 10_000,
            "journalEnd": replay_end,
            "parkAfterMs": 1_000,
        }
        deps = WorkflowDeps(core, TextsInMemory(), self._receive, self._ended, _no_offsets, self.warnings.append)
        self.execution = WorkflowExecution(deps, work)
        self.execution.start(declared.workflows[name])

    def give(self, count: int) -> None:
        """Hands on the next entries. Beyond the replay, outputs go along only when they were asked for before."""
        entries = [self._as_given(entry) for entry in self._journal.entries[self.given : self.given + count]]
        self.given += len(entries)
        if entries:
            self.execution.receive({"t": "settled", "argsId": "w", "entries": entries})

    def give_values(self) -> None:
        asked, self.asked = self.asked, []
        outcomes = {key: self._journal.settled[key] for key in asked if key in self._journal.settled}
        values: dict[str, Value] = {key: one["value"] for key, one in outcomes.items() if "value" in one}
        self.execution.receive({"t": "values", "argsId": "w", "values": values})

    def accept(self) -> None:
        self.execution.receive({"t": "accepted", "argsId": "w", "calls": len(self.sent)})

    def _as_given(self, entry: Entry) -> Entry:
        if entry["e"] != "settled" or entry["p"] <= self._replay_end or entry["key"] in self._awaited:
            return entry
        if self._journal.calls[entry["key"]]["kind"] == "event":
            return entry
        bare = entry.copy()
        bare.pop("value", None)
        return bare

    def _receive(self, frame: FrameOfWorkflow) -> None:
        if frame["t"] == "park":
            self.parks += 1
        elif frame["t"] == "calls":
            self.sent += frame["calls"]
            self._awaited.update(call["key"] for call in frame["calls"] if call.get("awaited"))
        elif frame["t"] == "await":
            given = {entry["key"] for entry in self._journal.entries[: self.given] if entry["e"] == "settled"}
            self.asked += [key for key in frame["keys"] if key in given]
            self._awaited.update(key for key in frame["keys"] if key not in given)

    def _ended(self, end: WorkEnd) -> None:
        self.end = end


def _no_offsets() -> Offsets:
    return {"stdout": 0, "stderr": 0}


def happen(journal: FakeJournal, chance: random.Random) -> None:
    """Something happens to one of the open calls, or from outside."""
    if chance.random() < 0.03 and not any(entry["e"] == "cancel" for entry in journal.entries):
        journal.append({"e": "cancel", "reason": "enough"})
        return
    if chance.random() < 0.15:
        id = f"s{len(journal.entries)}"
        journal.append({"e": "signal", "id": id, "name": chance.choice("ab"), "value": {"json": f'"{id}"'}})
        return
    calls = journal.open()
    if not calls:
        return
    call = chance.choice(calls)
    key = call["key"]
    if call["kind"] == "sleep":
        journal.settle(key, {"outcome": "succeeded"})
    elif call["kind"] == "signal" and "timeoutMs" in call:
        journal.settle(key, {"outcome": "timedOut"})
    elif call["kind"] == "signal":
        journal.append({"e": "signal", "id": f"w{len(journal.entries)}", "name": call["name"], "value": {"json": "1"}})
    elif call["name"] == "flaky" and chance.random() < 0.5:
        journal.settle(key, {"outcome": "failed", "failure": {"type": "Flaky", "message": "broke", "retryable": True}})
    else:
        journal.settle(key, {"outcome": "succeeded", "value": {"json": json.dumps(f"{key}!")}})
