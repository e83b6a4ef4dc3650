"""Workflows that are made of a seed: the same steps for an async and for a sync one."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import salt

Step = dict[str, Any]

_task_names = ["red", "green", "flaky"]


def random_steps(chance: random.Random, depth: int = 0, *, branches: bool = True) -> list[Step]:
    return [_random_step(chance, depth, branches) for _ in range(chance.randint(1, 4))]


def _random_step(chance: random.Random, depth: int, branches: bool) -> Step:
    name = chance.choice(_task_names)
    flat = ["task", "task", "start", "pass-on", "await-started", "sleep", "nap", "signal", "event", "chance", "first"]
    deep = ["all", "all", "race", "group", "if-odd"] if branches else ["if-odd"]
    kind = chance.choice(deep) if depth < 3 and chance.random() < 0.4 else chance.choice(flat)
    if kind in ("task", "start"):
        return {"do": kind, "name": name, "n": chance.randrange(10)}
    if kind in ("sleep", "nap"):
        return {"do": kind, "ms": chance.randrange(1, 1_000)}
    if kind == "signal":
        return {"do": kind, "name": chance.choice("ab"), "timeout": 0.1 if chance.random() < 0.5 else None}
    if kind in ("all", "race", "group"):
        return {"do": kind, "of": [random_steps(chance, depth + 1) for _ in range(chance.randint(1, 3))]}
    if kind == "if-odd":
        return {"do": kind, "odd": random_steps(chance, depth + 1, branches=branches), "even": []}
    return {"do": kind}


@salt.task
def red(n: Any) -> Any:
    return n


@salt.task
def green(n: Any) -> Any:
    return n


@salt.task
def flaky(n: Any) -> Any:
    return n


_tasks = {"red": red, "green": green, "flaky": flaky}


def _call(step: Step, started: list[Any]) -> Any:
    """The ref that a step waits for, or what it gives at once."""
    kind = step["do"]
    if kind == "task":
        return _tasks[step["name"]](step["n"])
    if kind == "pass-on":
        return green(started[-1] if started else None)
    if kind == "await-started":
        return started.pop(0) if started else None
    if kind in ("sleep", "nap"):
        return salt.sleep(step["ms"] / 1_000)
    if kind == "signal":
        return salt.wait_for_signal(step["name"], timeout=step["timeout"])
    if kind == "event":
        return salt.wait_for_event("e")
    if kind == "first":
        return salt.first([salt.sleep(1), *started])
    if kind == "start":
        started.append(_tasks[step["name"]](step["n"]))
        return started[-1].key
    return [salt.now(), salt.random(), salt.uuid()]


def _taken(value: Any) -> Any:
    return value.key if isinstance(value, salt.Ref) else value


async def _run(steps: list[Step], started: list[Any]) -> list[Any]:
    """What each step gave goes into the output, so that any difference of order shows."""
    seen: list[Any] = []
    for step in steps:
        try:
            seen.append(await _run_step(step, started, seen))
        except salt.CancelledError:
            with salt.shielded():
                seen.append(await red("undo"))
            raise
        except (salt.TaskFailed, salt.TimedOut) as error:
            seen.append(str(error))
    return seen


async def _run_step(step: Step, started: list[Any], seen: list[Any]) -> Any:
    kind = step["do"]
    if kind == "all":
        return list(await asyncio.gather(*(_run(steps, started) for steps in step["of"])))
    if kind == "group":
        tasks = [asyncio.ensure_future(_run(steps, started)) for steps in step["of"]]
        await asyncio.wait(tasks)
        return [task.result() for task in tasks]
    if kind == "race":
        tasks = [asyncio.ensure_future(_run(steps, started)) for steps in step["of"]]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task in done).result()
    if kind == "if-odd":
        return await _run(step["odd"] if len(seen) % 2 else step["even"], started)
    if kind == "nap":
        await asyncio.sleep(step["ms"] / 1_000)
        return None
    called = _call(step, started)
    return _taken(await called) if hasattr(called, "__await__") else called


def _run_sync(steps: list[Step], started: list[Any]) -> list[Any]:
    seen: list[Any] = []
    for step in steps:
        try:
            if step["do"] == "if-odd":
                seen.append(_run_sync(step["odd"] if len(seen) % 2 else step["even"], started))
                continue
            called = _call(step, started)
            seen.append(_taken(called.result()) if hasattr(called, "__await__") else called)
        except salt.CancelledError:
            with salt.shielded():
                seen.append(red("undo").result())
            raise
        except (salt.TaskFailed, salt.TimedOut) as error:
            seen.append(str(error))
    return seen


@salt.workflow
async def generated_async(steps: list[Step]) -> Any:
    return await _run(steps, [])


@salt.workflow
def generated_sync(steps: list[Step]) -> Any:
    return _run_sync(steps, [])
