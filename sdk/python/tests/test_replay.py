"""Generated workflows, cut anywhere and replayed, make the same calls and end the same."""

from __future__ import annotations

import os
import random
from typing import Any

import pytest
from fake_journal import FakeJournal, FakeWork, happen
from random_program import random_steps
from virtual_core import VirtualCore

first_seed = int(os.environ.get("SALT_SEED", "1"))
seeds = int(os.environ.get("SALT_SEEDS", "100"))
steps_max = 600


def live(chance: random.Random, name: str, input: Any, journal: FakeJournal) -> FakeWork:
    """A whole history: things happen in random order, the program is cut at random and begun again."""
    core = VirtualCore()

    def begin() -> FakeWork:
        return FakeWork(core, journal, name=name, input=input, replay_end=len(journal.entries))

    work, safe = begin(), 0
    for _ in range(steps_max):
        if work.end is not None:
            break
        if chance.random() < 0.7:
            core.rest()
        # The coordinator journals calls in the order in which they were sent, some later than others.
        until = len(work.sent) if chance.random() < 0.6 else chance.randint(safe, len(work.sent))
        for call in work.sent[safe:until]:
            journal.call(call)
        safe = until
        if chance.random() < 0.6:
            happen(journal, chance)
        if chance.random() < 0.7:
            work.give(chance.randint(1, 6))
        if chance.random() < 0.5 and work.asked:
            work.give_values()
        if chance.random() < 0.05:
            work.execution.close()
            core.rest()
            work, safe = begin(), 0
    finish(core, work, journal, safe)
    return work


def finish(core: VirtualCore, work: FakeWork, journal: FakeJournal, safe: int) -> None:
    """Whatever is under way still arrives, but nothing further happens."""
    before = -1
    while before != len(journal.entries) + work.given:
        before = len(journal.entries) + work.given
        core.rest()
        for call in work.sent[safe:]:
            journal.call(call)
        safe = len(work.sent)
        work.give(len(journal.entries))
        core.rest()
        if work.asked:
            work.give_values()
    work.execution.close()
    core.rest()


def end_of(work: FakeWork) -> Any:
    """How the work ended, apart from what another attempt may differ in."""
    if work.end is None or work.end["t"] != "fail":
        return None if work.end is None else {**work.end, "given": 0}
    return {"t": "fail", "type": work.end["failure"]["type"], "message": work.end["failure"]["message"]}


def again(name: str, input: Any, journal: FakeJournal, cut: int) -> FakeWork:
    """The journal again up to `cut` as a replay, then entry by entry as if live."""
    core = VirtualCore()
    work = FakeWork(core, journal, name=name, input=input, replay_end=cut)
    work.give(cut)
    core.rest()
    while work.end is None and (work.given < len(journal.entries) or work.asked):
        if work.asked:
            work.give_values()
        else:
            work.give(1)
        core.rest()
    work.execution.close()
    core.rest()
    return work


@pytest.mark.parametrize("seed", range(first_seed, first_seed + seeds))
@pytest.mark.parametrize("name", ["generated_async", "generated_sync"])
def test_c21_replay_makes_the_same_calls_and_ends_the_same(name: str, seed: int) -> None:
    chance = random.Random(seed)
    input = random_steps(chance, branches=name == "generated_async")
    journal = FakeJournal()
    first = live(chance, name, input, journal)
    if first.end is not None and first.end["t"] == "fail":
        assert first.end["failure"]["type"] == "CancelledError", first.end
    length = len(journal.entries)
    for cut in (0, length, chance.randint(0, length), chance.randint(0, length)):
        replayed = again(name, input, journal, cut)
        assert end_of(replayed) == end_of(first), f"cut at {cut}"
        # Whatever it calls is journaled already, under the same key with the same arguments: nothing executes twice.
        for call in replayed.sent:
            assert call["digest"] == journal.calls[call["key"]]["digest"]
        if cut == length:
            assert replayed.sent == []
