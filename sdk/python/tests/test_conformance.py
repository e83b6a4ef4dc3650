"""Replays sdk/conformance/transcripts against real programs over real sockets, and writes down how it went."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fake_agent import FakeAgent, Frame
from results import record_results

transcripts = Path(__file__).parents[2] / "conformance" / "transcripts"

entries = ["conformance_async.py", "conformance_sync.py"]
passed: list[tuple[str, str]] = []

quiet_s = 0.02
early_s = 0.4


def all_cases() -> dict[str, list[dict[str, Any]]]:
    """The steps of every case, by `<file>: <rule> <name>`."""
    return {
        f"{path.stem}: {case['rule']} {case['name']}": case["steps"]
        for path in sorted(transcripts.glob("*.json"))
        for case in json.loads(path.read_text())["cases"]
    }


cases = all_cases()


def filled(value: Any, folder: Path) -> Any:
    """`{"$sha256": text}` stands for the digest of the text; the works' folders are made below one that is there."""
    if isinstance(value, list):
        return [filled(member, folder) for member in value]
    if isinstance(value, str) and value.startswith("/folder/"):
        made = folder / value[len("/folder/") :]
        made.mkdir(exist_ok=True)
        return str(made)
    if not isinstance(value, dict):
        return value
    if "$sha256" in value:
        return hashlib.sha256(value["$sha256"].encode()).hexdigest()
    return {key: filled(inner, folder) for key, inner in value.items()}


def misfit(expected: Any, found: Any, path: str = "frame") -> str | None:
    """Where the frame lacks something that is listed; lists must be equal in length."""
    if isinstance(expected, dict) and isinstance(found, dict):
        inner = (misfit(part, found.get(key, "absent"), f"{path}.{key}") for key, part in expected.items())
        return next((one for one in inner if one is not None), None)
    if isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{path} has {len(found)} members, not {len(expected)}: {found}"
        pairs = enumerate(zip(expected, found, strict=True))
        inner = (misfit(one, other, f"{path}[{index}]") for index, (one, other) in pairs)
        return next((one for one in inner if one is not None), None)
    return None if expected == found else f"{path} is {found!r}, not {expected!r}"


def timed(frame: Frame, ahead_ms: float) -> Frame:
    """The program's clock begins at 1,000 in transcripts; here it is the machine's."""
    return {**frame, "untilMs": frame["untilMs"] + ahead_ms} if "untilMs" in frame else frame


def expect_out(agent: FakeAgent, expected: Frame) -> None:
    frame = agent.any(10)
    assert frame is not None, f"nothing came, but {expected} was to\n{agent.output('stderr')}"
    assert misfit(expected, frame) is None, f"{misfit(expected, frame)}\n{frame}"


def replay(agent: FakeAgent, steps: list[dict[str, Any]]) -> None:
    owed_s = 0.0
    ahead_ms = time.monotonic() * 1000 - 1000
    for index, step in enumerate(steps):
        if "in" in step:
            agent.send(timed(filled(step["in"], agent.folder), ahead_ms))
        elif "pass" in step:
            # That nothing has come yet is looked at well before it may come: this clock cannot be stopped.
            is_quiet_next = "quiet" in steps[index + 1] and step["pass"] > 2 * early_s * 1000
            wait_s = step["pass"] / 1000 + owed_s
            owed_s = early_s if is_quiet_next else 0.0
            time.sleep(wait_s - owed_s)
        elif "lose" in step:
            agent.cut()
        elif "out" in step:
            expect_out(agent, filled(step["out"], agent.folder))
        elif "quiet" in step:
            assert agent.left(quiet_s) == []
        else:
            assert agent.exit_code() == step["exit"]
        if "in" in step:
            agent.rest()
    assert agent.left(quiet_s) == []


def outcome(entry: str, name: str) -> Exception | None:
    agent = FakeAgent(entry)
    try:
        replay(agent.started(), cases[name])
        return None
    except Exception as error:
        return error
    finally:
        agent.close()


@pytest.fixture(scope="session")
def outcomes() -> Iterator[dict[tuple[str, str], Future[Exception | None]]]:
    """Several programs at a time, as they wait more than they compute."""
    with ThreadPoolExecutor(6) as pool:
        yield {(entry, name): pool.submit(outcome, entry, name) for entry in entries for name in cases}


@pytest.mark.parametrize("name", list(cases))
@pytest.mark.parametrize("entry", entries, ids=["async", "sync"])
def test_transcript(entry: str, name: str, outcomes: dict[tuple[str, str], Future[Exception | None]]) -> None:
    error = outcomes[entry, name].result()
    if error is not None:
        raise error
    passed.append((entry, name))


def test_the_table_of_what_each_sdk_has_is_made_of_these_results() -> None:
    if len(passed) < len(entries) * len(cases):
        pytest.skip("only some of the cases were replayed")
    names = [name for name in cases if all((entry, name) in passed for entry in entries)]
    assert record_results("transcripts", names) == names
