"""Bounds and wrong uses of workflows, by a virtual clock."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import Any

import pytest
from fake_journal import FakeJournal, FakeWork
from virtual_core import VirtualCore

import salt
from salt import limits


@salt.task
def x_noop(n: Any) -> Any:
    return n


@salt.task
def x_two(a: int, b: int) -> int:
    return a + b


@salt.workflow
async def x_branches() -> Any:
    """What two branches call depends on which of them is told first."""
    early = x_noop(1)
    await x_noop(2)

    async def first() -> Any:
        return await x_two(await early, 1)

    async def second() -> Any:
        for _ in range(10):
            await asyncio.sleep(0)
        return await x_two(0, 1)

    return list(await asyncio.gather(first(), second()))


@salt.workflow
def x_many(count: int) -> None:
    last = None
    for _ in range(count):
        last = x_noop(0)
    if last is not None:
        last.result()


@salt.workflow
def x_refs(count: int) -> Any:
    return x_noop([x_noop(0) for _ in range(count)])


leaked: list[Any] = []


@salt.workflow
def x_leaks() -> None:
    leaked.append(x_noop(7))
    salt.sleep(0.001).result()


@salt.workflow
def x_leaked() -> Any:
    return x_noop(leaked[0])


@salt.workflow
def x_does(what: str, value: Any = None) -> Any:
    deeds: dict[str, Any] = {
        "function": lambda: x_noop({"deep": [{"f": len}]}),
        "large": lambda: x_noop("x" * limits.value_bytes_max),
        "large output": lambda: "x" * limits.value_bytes_max,
        "key": lambda: x_noop.options(key=value)(1),
        "options": lambda: x_noop.options(**value)(1),
        "limited": lambda: x_noop.options(limit=salt.Limit("door", value), on_lease_lost="stop")(1),
        "signal": lambda: salt.wait_for_signal(value),
        "named": lambda: salt.call(value),
        "arguments": lambda: x_two(1),  # type: ignore[call-arg]
        "progress": lambda: salt.progress(1),
        "await": lambda: asyncio.run(_awaits()),
    }
    return deeds[what]()


async def _awaits() -> Any:
    return await x_noop(1)


@salt.workflow
async def x_waits_elsewhere(what: str) -> Any:
    loop = asyncio.get_running_loop()
    if what == "thread":
        return await asyncio.to_thread(len, "")
    if what == "connection":
        return await asyncio.open_connection("localhost", 1)
    if what == "result":
        return x_noop(1).result()
    return await loop.create_future()


@salt.workflow
async def x_timeout() -> str:
    try:
        async with asyncio.timeout(5):  # type: ignore[attr-defined,unused-ignore]
            await salt.wait_for_signal("never")
    except asyncio.TimeoutError:
        return "too late"
    return "in time"


@salt.workflow
async def x_group() -> Any:
    async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
        tasks = [group.create_task(_awaits()) for _ in range(2)]
    return [task.result() for task in tasks]


@salt.workflow
def x_swallows() -> str:
    for _ in range(3):
        try:
            x_noop.options(key="same")(1).result()
        except Exception:
            pass
    return "fine"


class Stand:
    """A work, its journal and its clock."""

    def __init__(self, name: str, input: Any = None, journal: FakeJournal | None = None, replay_end: int = 0) -> None:
        self.core = VirtualCore()
        self.journal = journal or FakeJournal()
        self.work = FakeWork(self.core, self.journal, name=name, input=input, replay_end=replay_end)
        self.core.rest()

    @property
    def failure(self) -> Any:
        assert self.work.end is not None
        return self.work.end.get("failure", self.work.end)

    def serve(self) -> Stand:
        """Journals what was sent and settles it all in the order of the calls."""
        for _ in range(4):
            for call in self.work.sent:
                self.journal.call(call)
                self.journal.settle(call["key"], {"outcome": "succeeded", "value": {"json": "1"}})
            self.work.accept()
            self.work.give(len(self.journal.entries))
            self.core.rest()
            if self.work.asked:
                self.work.give_values()
            self.core.rest()
        return self

    def close(self) -> None:
        self.work.execution.close()
        self.core.rest()


def test_c21_awaiting_what_has_settled_takes_a_rest_so_that_fetched_and_replayed_outputs_are_told_alike() -> None:
    live = Stand("x_branches").serve()
    keys = [(call["key"], call["digest"]) for call in live.work.sent]
    assert len(keys) == 4
    again = Stand("x_branches", journal=live.journal, replay_end=len(live.journal.entries))
    again.work.give(len(live.journal.entries))
    again.core.rest()
    assert again.work.sent == []
    assert again.work.end is not None
    assert again.work.end["t"] == "done"


def test_c22_a_workflow_that_took_long_to_replay_waits_at_least_as_long_before_it_parks() -> None:
    stand = Stand("x_many", 1, replay_end=1)
    stand.core.let_pass(7_000)
    stand.work.give(1)
    stand.core.rest()
    stand.work.accept()
    stand.core.let_pass(6_999)
    assert stand.work.parks == 0
    stand.core.let_pass(1)
    assert stand.work.parks == 1
    stand.close()


def test_c22_does_not_park_while_it_waits_for_something_that_salt_knows_nothing_of() -> None:
    stand = Stand("x_waits_elsewhere", "future")
    stand.core.let_pass(60_000)
    assert stand.work.parks == 0
    stand.close()


def test_c22_warns_at_10_000_calls_and_fails_with_journal_too_long_beyond_50_000() -> None:
    warned = Stand("x_many", limits.calls_warn_at)
    assert len(warned.work.warnings) == 1
    assert "restart(input)" in warned.work.warnings[0]
    assert len(warned.work.sent) == limits.calls_warn_at
    warned.close()
    failed = Stand("x_many", limits.calls_max + 1)
    assert failed.failure["type"] == "JournalTooLong"
    assert "restart(input)" in failed.failure["message"]


def test_c22_lists_up_to_256_refs_in_the_call_and_more_in_a_value_of_their_own_under_the_same_digest() -> None:
    few = Stand("x_refs", limits.refs_inline_max)
    call = few.work.sent[-1]
    assert call["kind"] == "task"
    assert len(call["refs"]) == limits.refs_inline_max
    few.close()
    many = Stand("x_refs", limits.refs_inline_max + 1)
    call = many.work.sent[-1]
    assert call["kind"] == "task"
    keys = [f"x_noop#{n + 1}" for n in range(limits.refs_inline_max + 1)]
    assert "json" in call["manyRefs"]
    assert json.loads(call["manyRefs"]["json"]) == keys
    text = json.dumps([{"$salt": "ref", "v": key} for key in keys], separators=(",", ":"))
    assert call["digest"] == hashlib.sha256(text.encode()).hexdigest()
    many.close()


def test_c23_a_ref_is_valid_in_its_run_alone() -> None:
    Stand("x_leaks").close()
    assert "the ref 'x_noop#1' in its input is of another run" in Stand("x_leaked").failure["message"]


@pytest.mark.parametrize(
    ("what", "value", "type", "message"),
    [
        ("function", None, "UnencodableValue", "$.deep[0].f"),
        ("large", None, "TooLarge", "at most 67108864 (valueBytesMax)"),
        ("large output", None, "OutputTooLarge", "at most 67108864 (valueBytesMax)"),
        ("options", {"priority": 1_000}, "BadRequest", "priority: expected a whole number from -100 to 100"),
        ("options", {"retries": 3}, "TypeError", "retries"),
        ("options", {"attempt_timeout": -1}, "BadRequest", "attempt_timeout"),
        ("options", {"on_lease_lost": "end"}, "BadRequest", "on_lease_lost: expected 'continue' or 'stop', not 'end'"),
        ("limited", 0, "BadRequest", "limit: expected a whole number from 1 to 1000, not 0"),
        ("signal", "no name", "BadRequest", '"no name"'),
        ("named", "a/b/c", "BadRequest", '"a/b/c"'),
        ("key", "a/b", "BadRequest", '"a/b"'),
        ("key", "@workflow", "BadRequest", "not a valid key"),
        ("key", "x" * 201, "BadRequest", "not a valid key"),
        ("arguments", None, "TypeError", "task type 'x_two': missing a required argument: 'b'"),
        ("progress", None, "WrongPlace", "it is for the code of a task"),
        ("await", None, "WrongPlace", "use .result()"),
    ],
)
def test_a_wrong_use_fails_by_its_name_not_to_be_retried(what: str, value: Any, type: str, message: str) -> None:
    failure = Stand("x_does", {"what": what, "value": value}).failure
    assert failure["type"] == type
    assert message in failure["message"]
    assert failure["retryable"] is False


def test_a_call_says_what_its_task_type_would() -> None:
    stand = Stand("x_does", {"what": "limited", "value": 3})
    call = stand.work.sent[0]
    assert call["kind"] == "task"
    assert call["options"] == {"limit": {"name": "door", "max": 3}, "onLeaseLost": "stop"}
    stand.close()


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("thread", "run_in_executor"),
        ("connection", "create_connection"),
        ("result", "Cannot use .result() in an async"),
    ],
)
def test_l1_an_async_workflow_awaits_nothing_but_salts_own(what: str, message: str) -> None:
    failure = Stand("x_waits_elsewhere", what).failure
    assert failure["type"] == "WrongPlace"
    assert message in failure["message"]


@pytest.mark.skipif(not hasattr(asyncio, "timeout"), reason="asyncio.timeout is of Python 3.11")
def test_l2_asyncios_timers_are_durable_pauses() -> None:
    stand = Stand("x_timeout")
    assert [(call["key"], call.get("forMs")) for call in stand.work.sent] == [
        ("sleep#1", 5_000),
        ("signal:never#1", None),
    ]
    for call in stand.work.sent:
        stand.journal.call(call)
    stand.journal.settle("sleep#1", {"outcome": "succeeded"})
    stand.work.give(9)
    stand.core.rest()
    assert stand.work.end is not None
    assert stand.work.end["t"] == "done"
    assert stand.work.end["output"] == {"json": '"too late"'}


@pytest.mark.skipif(not hasattr(asyncio, "TaskGroup"), reason="asyncio.TaskGroup is of Python 3.11")
def test_c23_a_cancel_that_comes_out_of_a_task_group_is_a_cancel() -> None:
    stand = Stand("x_group")
    for call in stand.work.sent:
        stand.journal.call(call)
    stand.journal.append({"e": "cancel", "reason": "enough"})
    stand.work.give(9)
    stand.core.rest()
    assert stand.failure["type"] == "CancelledError"


def test_a_broken_rule_fails_the_run_whatever_the_code_makes_of_it() -> None:
    stand = Stand("x_swallows")
    stand.journal.append({"e": "called", "key": "same", "kind": "task", "name": "other", "digest": "0" * 64})
    stand.work.give(9)
    stand.core.rest()
    assert stand.failure["type"] == "NonDeterministicWorkflow"


def test_t4_a_journal_with_a_gap_fails_the_work() -> None:
    stand = Stand("x_many", 1)
    stand.journal.append({"e": "note", "kind": "a"})
    stand.work.given = 1
    stand.work.give(1)
    assert "gap" in stand.failure["message"]


def test_c15_a_call_that_the_journal_shows_counts_as_accepted() -> None:
    stand = Stand("x_many", 3)
    for call in stand.work.sent[:2]:
        stand.journal.call(call)
    stand.work.give(3)
    stand.core.rest()
    assert stand.work.execution.accepted_calls == 2
    stand.close()


def test_outside_of_a_workflow_a_task_says_where_its_function_is() -> None:
    with pytest.raises(salt.WrongPlace, match=r"outside of one.*Its function alone is x_noop\.fn"):
        x_noop(1)
    assert x_noop.fn(1) == 1
