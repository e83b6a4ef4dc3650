"""A program over its socket, and its command line."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_agent import FakeAgent, Frame, tests_folder, value_of


@pytest.fixture
def agent() -> Iterator[FakeAgent]:
    made = FakeAgent("socket_project.py")
    yield made
    made.close()


def test_c18_proves_its_session_and_hides_what_the_agent_gave_it(agent: FakeAgent) -> None:
    hello = agent.spawn().next("hello")
    assert hello == {
        "t": "hello",
        "protocol": 1,
        "sdk": "python/0.1.0",
        "session": "secret",
        "pid": agent.process.pid if agent.process else 0,
        "argsId": None,
        "working": [],
    }
    assert value_of(agent.execute("where"))["secrets"] == []


def test_c19_resets_environment_working_and_temporary_folder_between_tasks(agent: FakeAgent) -> None:
    agent.started()
    for _ in range(3):
        found = value_of(agent.execute("where"))
        assert found == {"env": None, "cwd": True, "tmp": True, "main": True, "secrets": []}


def test_t3_says_how_long_its_output_is(agent: FakeAgent) -> None:
    agent.started()
    assert [agent.execute("where")["offsets"]["stdout"] for _ in range(2)] == [5, 10]
    assert agent.output("stdout") == "here\nhere\n"


@pytest.mark.parametrize("name", ["leaves_thread", "leaves_child"])
def test_c19_a_program_with_leftovers_ends_once_its_answer_is_accepted(agent: FakeAgent, name: str) -> None:
    agent.started()
    work, later = agent.work("task", name), agent.work("task", "noop")
    agent.send(work, later)
    agent.next("done")
    agent.send({"t": "accepted", "argsId": work["argsId"], "end": True})
    assert agent.exit_code() == 0
    assert agent.left() == [{"t": "unbegun", "argsId": later["argsId"]}]


def test_c19_executes_a_prefetched_thousand_in_order(agent: FakeAgent) -> None:
    agent.started()
    works = [agent.work("task", "noop") for _ in range(1_000)]
    agent.send(*works)
    assert [agent.next("done")["argsId"] for _ in works] == [work["argsId"] for work in works]


def test_work_that_is_queued_is_taken_back_by_a_cancel(agent: FakeAgent) -> None:
    agent.started()
    running, queued = agent.work("task", "waits", "signal"), agent.work("task", "noop")
    agent.send(running, queued)
    agent.next("progress")
    agent.send({"t": "cancel", "argsId": queued["argsId"], "reason": "withdrawn"})
    assert agent.next("fail")["failure"]["type"] == "CancelledError"


def test_c22_values_above_16_kib_go_as_files_of_the_work_folder_both_ways(agent: FakeAgent) -> None:
    agent.started()
    assert "json" in agent.execute("large", 16_382)["output"]
    output = agent.execute("large", 16_383)["output"]
    assert output["bytes"] == 16_385
    assert len(json.loads(Path(output["path"]).read_text())) == 16_383

    work = agent.work("workflow", "waits_for_signal", journalEnd=1)
    path = Path(work["folder"]) / "signal.json"
    path.write_text('"go"')
    entry = {"p": 1, "at": 1, "e": "signal", "id": "s", "name": "go", "value": {"path": str(path), "bytes": 4}}
    agent.send(work, {"t": "settled", "argsId": work["argsId"], "entries": [entry]})
    assert agent.next("done")["output"] == {"json": '"go"'}


def test_c18_keeps_its_answer_while_no_agent_is_there(agent: FakeAgent) -> None:
    agent.started()
    work = agent.work("task", "where")
    agent.send(work)
    agent.next("done")
    agent.restart()
    assert agent.next("hello")["working"] == [{"argsId": work["argsId"], "given": 0}]
    agent.send({"t": "resume", "argsId": work["argsId"]})
    assert agent.next("done")["argsId"] == work["argsId"]


def test_with_input_it_asks_for_that_work_and_ends_when_its_answer_is_accepted(agent: FakeAgent) -> None:
    assert agent.spawn("--input", "a1").next("hello")["argsId"] == "a1"
    agent.execute("noop")
    assert agent.exit_code() == 0


@pytest.mark.parametrize("name", ["naps", "naps_async"])
def test_c20_hosts_64_workflows_at_once_each_with_its_own_calls(agent: FakeAgent, name: str) -> None:
    agent.started()
    works = [agent.work("workflow", name, n, journalEnd=0) for n in range(1, 65)]
    agent.send(*works)
    for n, work in enumerate(works, 1):
        args_id = work["argsId"]
        [call] = agent.next("calls", lambda frame, a=args_id: frame["argsId"] == a)["calls"]  # type: ignore[misc]
        assert (call["key"], call["forMs"]) == ("sleep#1", n)
        called = {"p": 1, "at": 1, "e": "called", "name": "sleep", **{k: call[k] for k in ("key", "kind", "digest")}}
        settled = {"p": 2, "at": 2, "e": "settled", "key": call["key"], "outcome": "succeeded"}
        agent.send({"t": "settled", "argsId": args_id, "entries": [called, settled]})
        [call] = agent.next("calls", lambda frame, a=args_id: frame["argsId"] == a)["calls"]  # type: ignore[misc]
        assert (call["key"], call["awaited"]) == ("noop#1", True)


def test_c20_a_sync_workflow_that_blocks_delays_no_other(agent: FakeAgent) -> None:
    agent.started()
    stuck, other = (agent.work("workflow", name, 5, journalEnd=0) for name in ("blocks", "naps"))
    stuck["input"] = {"json": "null"}
    agent.send(stuck, other)
    began = time.monotonic()
    assert agent.next("calls")["argsId"] == other["argsId"]
    assert time.monotonic() - began < 3


def test_a_workflow_that_is_let_go_of_unwinds_without_calls_and_leaves_no_thread(agent: FakeAgent) -> None:
    agent.started()
    path = agent.folder / "unwound"
    for _ in range(5):
        work = agent.work("workflow", "cleans_up", str(path), journalEnd=0)
        agent.send(work)
        agent.next("calls")
        agent.send({"t": "parked", "argsId": work["argsId"]})
    agent.rest()
    assert path.read_text() == "unwound\n" * 5
    assert agent.left() == []
    assert agent.process is not None
    assert len(list(Path(f"/proc/{agent.process.pid}/task").iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "input"), [("waits", "sleep"), ("waits_async", None)], ids=["a sync task", "an async task"]
)
def test_c23_a_cancel_interrupts(agent: FakeAgent, name: str, input: Any) -> None:
    agent.started()
    work = agent.work("task", name, input)
    agent.send(work)
    agent.next("progress")
    agent.send({"t": "cancel", "argsId": work["argsId"], "reason": "enough"})
    failure = agent.next("fail")["failure"]
    assert (failure["type"], failure["retryable"]) == ("CancelledError", False)
    assert "enough" in failure["message"]


def test_c23_a_task_may_clean_up_and_answer_after_a_cancel(agent: FakeAgent) -> None:
    agent.started()
    work = agent.work("task", "stubborn")
    agent.send(work)
    agent.next("progress")
    agent.send({"t": "cancel", "argsId": work["argsId"], "reason": "enough"})
    assert value_of(agent.next("done")) == "cleaned up"
    agent.send({"t": "accepted", "argsId": work["argsId"], "end": True})
    assert value_of(agent.execute("noop")) == 1


def test_files_go_out_by_digest_and_come_in_by_fetch(agent: FakeAgent) -> None:
    agent.started()
    done = agent.execute("makes_file")
    digest = hashlib.sha256(b"a,b\n").hexdigest()
    assert [(file["sha256"], file["bytes"]) for file in done["files"]] == [(digest, 4)]
    work = agent.work("task", "reads_file", value_of(done))
    agent.send(work)
    assert agent.next("fetch")["sha256"] == digest
    path = done["files"][0]["path"]
    agent.send({"t": "fetched", "argsId": work["argsId"], "sha256": digest, "path": path})
    assert value_of(agent.next("done")) == "a,b\n"


def test_a_file_that_is_not_there_fails_the_task_that_asks(agent: FakeAgent) -> None:
    agent.started()
    file = {"$salt": "file", "v": {"sha256": "a" * 64, "bytes": 1}}
    work = agent.work("task", "reads_file", {"report": file})
    agent.send(work)
    agent.next("fetch")
    failure = {"type": "NotFound", "message": "gone", "retryable": True}
    agent.send({"t": "fetched", "argsId": work["argsId"], "sha256": "a" * 64, "failure": failure})
    assert agent.next("fail")["failure"]["type"] == "NotFound"


def test_c15_an_emitted_value_has_a_key_of_its_own_and_is_sent_again_until_it_is_accepted(agent: FakeAgent) -> None:
    agent.started()
    work = agent.work("task", "emits")
    agent.send(work)
    agent.next("done")
    emits = agent.left()
    assert [emit["key"] for emit in emits] == ["row#1", "row#2", "own"]
    assert emits[0]["value"] == {"json": '{"n":{"$salt":"bigint","v":"1"}}'}
    agent.send({"t": "accepted", "argsId": work["argsId"], "emits": ["row#1"]})
    agent.cut()
    agent.next("hello")
    agent.send({"t": "resume", "argsId": work["argsId"]})
    agent.next("done")
    assert [emit["key"] for emit in agent.left()] == ["row#2", "own"]
    assert agent.output("stdout") == 'told {"n": 1}\n'


def test_nothing_printed_is_lost_at_the_end(agent: FakeAgent) -> None:
    agent.started()
    done = agent.execute("prints_at_exit")
    assert done["offsets"]["stdout"] == len("no line end")
    agent.send({"t": "quit"})
    assert agent.exit_code() == 0
    assert agent.output("stdout") == "no line endat exit\n"


@pytest.mark.parametrize(
    ("how", "type", "cause"),
    [("exit", "SystemExit", None), ("nested", "LookupError", None), ("context", "RuntimeError", "KeyError")],
)
def test_what_a_task_raises_is_its_failure(agent: FakeAgent, how: str, type: str, cause: str | None) -> None:
    agent.started()
    agent.send(agent.work("task", "raises", how))
    failure: Frame = agent.next("fail")["failure"]
    assert failure["type"] == type
    assert failure.get("cause", {}).get("type") == cause
    assert 'File "socket_project.py", line ' in failure["stack"]
    assert "execute.py" not in failure["stack"]


def test_a_program_that_is_killed_leaves_a_traceback_of_where_it_was(agent: FakeAgent) -> None:
    agent.started()
    agent.send(agent.work("task", "waits", "signal"))
    agent.next("progress")
    assert agent.process is not None
    os.kill(agent.process.pid, signal.SIGABRT)
    assert agent.exit_code() == 128 + signal.SIGABRT
    assert "in waits" in agent.output("stderr")


def test_c17_work_whose_time_is_over_ends_its_process_with_its_children_though_it_blocks(agent: FakeAgent) -> None:
    agent.started()
    agent.send(agent.work("task", "waits", "child", untilMs=time.monotonic() * 1000 + 2_000))
    child = agent.next("progress")["message"]
    agent.cut()
    assert agent.exit_code() == 128 + signal.SIGKILL
    for _ in range(200):
        if not _is_running(child):
            return
        time.sleep(0.05)
    raise AssertionError(f"{child} runs on")


def _is_running(pid: str) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_a_fork_of_a_process_that_has_imported_the_project_is_a_program() -> None:
    agent = FakeAgent("fork_project.py")
    try:
        agent.started()
        assert value_of(agent.execute("where"))["main"] is True
        work = agent.work("workflow", "naps", 5, journalEnd=0)
        agent.send(work)
        assert agent.next("calls")["argsId"] == work["argsId"]
        agent.send({"t": "quit"})
        assert agent.exit_code() == 0
    finally:
        agent.close()


def run(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(tests_folder / "socket_project.py"), *args]
    clean = {"PATH": "/usr/bin:/bin", **(env or {})}
    return subprocess.run(command, capture_output=True, text=True, timeout=30, env=clean, check=False)


def test_describe_prints_the_manifest_after_the_mark() -> None:
    end = run("describe", env={"SALT_DESCRIBE_MARK": "mark "})
    assert end.returncode == 0
    assert end.stdout.startswith("\nmark {")
    description = json.loads(end.stdout[len("\nmark ") :])
    assert description["sdk"]["language"] == "python"
    [third] = [task for task in description["tasks"] if task["name"] == "third_time"]
    assert third == {
        "name": "third_time",
        "input": {"type": "string"},
        "output": {"type": "string"},
        "checks": [],
        "options": {
            "retry": {"attempts": 3, "backoffMs": 1},
            "limit": {"name": "door", "max": 2},
            "onLeaseLost": "stop",
        },
    }


@pytest.mark.parametrize(
    ("args", "code", "stdout", "stderr"),
    [
        (["run", "naps", "--input", "5"], 0, "6\n", "✓ noop#1"),
        (["run", "naps_async", "--input", "5"], 0, "6\n", "✓ noop#1"),
        (["run", "many", "--input", "1000", "--quiet"], 0, "1000\n", ""),
        (["run", "waits_for_signal", "--signal", 'go={"by":"ann"}'], 0, '{"by":"ann"}\n', ""),
        (["run", "waits_for_signal"], 1, "", "--signal go="),
        (["run", "too_slow"], 6, "", "TimedOut: The attempt lasted longer than its 50 ms."),
        (["run", "naps", "--input", '"x"'], 6, "", "InvalidInput"),
        (["run", "naps", "--input", "{"], 2, "", "--input is not JSON"),
        (["run", "nowhere"], 3, "", "There is no workflow 'nowhere'"),
        (["run"], 2, "", "Name one workflow"),
        (["run", "naps", "--nope"], 2, "", "--nope"),
        (["frobnicate"], 2, "", "Unknown command 'frobnicate'"),
        (["--input"], 1, "", "--input takes one args-id"),
        ([], 1, "", "SALT_SOCKET is not set"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_command_line(args: list[str], code: int, stdout: str, stderr: str) -> None:
    end = run(*args)
    assert (end.returncode, end.stdout) == (code, stdout), end.stderr
    assert stderr in end.stderr


def test_run_retries_as_the_task_type_says(tmp_path: Path) -> None:
    end = run("run", "tries", "--input", json.dumps(str(tmp_path / "tries")))
    assert end.stdout == '"at last"\n', end.stderr
    assert [line.split()[0] for line in end.stderr.splitlines()] == ["↻", "↻", "✓"]


def test_run_ends_at_once_when_it_is_interrupted() -> None:
    project = str(tests_folder / "socket_project.py")
    command = [sys.executable, project, "run", "says_that_it_naps", "--input", "60000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stderr is not None
        assert started.stderr.readline() == b"naps\n"
        started.send_signal(signal.SIGINT)
        _, stderr = started.communicate(timeout=10)
    assert (started.returncode, stderr) == (130, b"")
