"""The fork server as an agent meets it: over a real socket, with real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="programs are forked on Linux")

source = str(Path(__file__).parents[1] / "src")
# What a child does in place of serving: it tells of itself, and ends as its environment asks.
entry = """
import os, random, sys, threading, time
{before}
from salt._program.fork_server import serve_forks
serve_forks(os.environ["SALT_FORK_SOCKET"], os.environ["SALT_FORK_SESSION"])
print("env", sorted(os.environ), "cwd", os.getcwd(), "leader", os.getpgrp() != os.getpid(), random.random(), flush=True)
print("to stderr", file=sys.stderr, flush=True)
time.sleep(float(os.environ.get("SLEEP", "0")))
if "SIGNAL" in os.environ:
    os.kill(os.getpid(), int(os.environ["SIGNAL"]))
if "KILL" in os.environ:
    from salt._program.process_host import Process
    Process(os._exit).kill()
os._exit(int(os.environ["CODE"]))
"""


class Agent:
    def __init__(self, folder: Path, before: str = "") -> None:
        self.folder = folder
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(folder / "socket"))
        listening.listen()
        env = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": source,
            "SALT_FORK_SOCKET": str(folder / "socket"),
            "SALT_FORK_SESSION": "secret",
        }
        self.server = subprocess.Popen([sys.executable, "-c", entry.format(before=before)], env=env)
        listening.settimeout(20)
        self._link, _ = listening.accept()
        listening.close()
        self._link.settimeout(20)
        self._lines = self._link.makefile("r")
        assert self.hear() == {"t": "hello", "session": "secret", "pid": self.server.pid}

    def hear(self) -> Any:
        return json.loads(self._lines.readline())

    def ask(self, number: int, **env: str) -> Any:
        ask = {"t": "fork", "id": number, "cwd": str(self.folder), "env": env}
        for name in ("stdout", "stderr", "exitFile"):
            ask[name] = str(self.folder / f"{name}{number}")
        self._link.sendall(json.dumps(ask).encode() + b"\n")
        return self.hear()

    def text(self, name: str) -> str:
        file = self.folder / name
        for _ in range(200):
            if file.exists() and file.read_text():
                break
            time.sleep(0.05)
        return file.read_text()

    def close(self) -> None:
        self._lines.close()
        self._link.close()
        assert self.server.wait(20) in (0, -signal.SIGKILL)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.close()


def test_what_is_forked_has_an_environment_folder_streams_and_seed_of_its_own(agent: Agent) -> None:
    for number in (1, 2):
        assert agent.ask(number, CODE="7")["t"] == "forked"
        assert agent.hear() == {"t": "exited", "id": number, "signal": None}
        assert agent.text(f"exitFile{number}") == "7\n"
    first, second = agent.text("stdout1"), agent.text("stdout2")
    assert first.startswith(f"env ['CODE'] cwd {agent.folder} leader True")
    assert first != second
    assert agent.text("stderr1") == "to stderr\n"


def test_a_signal_is_told_as_a_shell_tells_it(agent: Agent) -> None:
    agent.ask(1, CODE="0", SIGNAL=str(int(signal.SIGSEGV)))
    assert agent.hear()["t"] == "exited"
    assert agent.text("exitFile1") == f"{128 + signal.SIGSEGV}\n"


def test_the_keeper_outlives_a_polite_signal_to_its_group_and_is_told_when_it_is_killed(agent: Agent) -> None:
    leader = agent.ask(1, CODE="0", SLEEP="30")["pid"]
    agent.text("stdout1")
    os.killpg(leader, signal.SIGTERM)
    assert agent.hear() == {"t": "exited", "id": 1, "signal": None}
    assert agent.text("exitFile1") == f"{128 + signal.SIGTERM}\n"
    leader = agent.ask(2, CODE="0", SLEEP="30")["pid"]
    agent.text("stdout2")
    os.killpg(leader, signal.SIGKILL)
    assert agent.hear() == {"t": "exited", "id": 2, "signal": "SIGKILL"}


def test_c17_a_program_that_ends_itself_with_its_group_ends_neither_the_server_nor_another(agent: Agent) -> None:
    leader = agent.ask(1, CODE="0", SLEEP="600")["pid"]
    agent.text("stdout1")
    agent.ask(2, CODE="0", KILL="1")
    assert agent.hear() == {"t": "exited", "id": 2, "signal": "SIGKILL"}
    assert agent.ask(3, CODE="0")["t"] == "forked"
    assert agent.hear() == {"t": "exited", "id": 3, "signal": None}
    os.killpg(leader, signal.SIGKILL)
    assert agent.hear() == {"t": "exited", "id": 1, "signal": "SIGKILL"}


@pytest.mark.parametrize("how", ["killed", "left"])
def test_programs_outlive_a_server_that_is_killed_or_left_by_its_agent(agent: Agent, how: str) -> None:
    agent.ask(1, CODE="5", SLEEP="1")
    # It has begun: one whose server ends before that does not begin at all (K5).
    assert agent.text("stdout1").startswith("env")
    if how == "left":
        agent.close()
    else:
        agent.server.kill()
        agent.server.wait()
    assert agent.text("exitFile1") == "5\n"


def test_nothing_is_forked_while_another_thread_lives(tmp_path: Path) -> None:
    agent = Agent(tmp_path, "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()")
    assert agent.ask(1, CODE="0") == {"t": "refused", "id": 1, "why": "1 threads of its modules live in it"}
    agent.close()
