"""The wave of tests/journeys/project/src/wave.ts, with an async and with a sync workflow: python-kills.test.ts."""

import asyncio
import os
import time
from typing import TypedDict

import salt

# So often that no test uses them up by killing programs.
retry = salt.Retry(attempts=50, backoff=0.02, factor=1)


class Grown(TypedDict):
    index: int
    children: int


class Waved(TypedDict):
    tasks: int
    sum: int
    chain: int


def count(effects: str, pace_ms: float) -> None:
    """Notes that a task begins, in one write, and takes its time."""
    with open(effects, "a") as file:
        file.write(f"{salt.context().task} {round(time.time() * 1000)} {os.getpid()}\n")
    time.sleep(pace_ms / 1000)


@salt.task(retry=retry)
def grow(index: int, effects: str, pace_ms: float) -> Grown:
    count(effects, pace_ms)
    return {"index": index, "children": (index * 7) % 4}


@salt.task(retry=retry)
def leaf(grown: Grown, child: int, effects: str, pace_ms: float) -> int:
    count(effects, pace_ms)
    return grown["index"] * 10 + child


@salt.task(retry=retry)
def step(n: int, effects: str, pace_ms: float) -> int:
    count(effects, pace_ms)
    return n + 1


def leaves_of(grown: list[salt.Ref[Grown]], values: list[Grown], effects: str, pace_ms: float) -> list[salt.Ref[int]]:
    """The second wave, each of which is given the ref of its parent."""
    return [
        leaf.options(key=f"leaf {value['index']}.{child}")(salt.pass_on(ref), child, effects, pace_ms)
        for ref, value in zip(grown, values, strict=True)
        for child in range(value["children"])
    ]


@salt.workflow
async def wave(first: int, steps: int, effects: str, paceMs: float) -> Waved:
    async def go_on() -> int:
        n = 0
        for _ in range(steps):
            n = await step(n, effects, paceMs)
        return n

    chain = asyncio.ensure_future(go_on())
    grown = [grow(index, effects, paceMs) for index in range(first)]
    leaves = leaves_of(grown, await asyncio.gather(*grown), effects, paceMs)
    values = await asyncio.gather(*leaves)
    return {"tasks": first + len(leaves) + steps, "sum": sum(values), "chain": await chain}


@salt.workflow
def wave_sync(first: int, steps: int, effects: str, paceMs: float) -> Waved:
    grown = [grow(index, effects, paceMs) for index in range(first)]
    waiting = set(grown)
    link = step(0, effects, paceMs)
    made = 1
    # The chain goes on beside the first wave, by whichever settles first.
    while waiting:
        ref = salt.first([*waiting, link]).result() if made < steps else salt.first(waiting).result()
        if ref is link:
            link = step(link.result(), effects, paceMs)
            made += 1
        else:
            waiting.discard(ref)
    leaves = leaves_of(grown, [ref.result() for ref in grown], effects, paceMs)
    for _ in range(steps - made):
        link = step(link.result(), effects, paceMs)
    values = salt.gather(*leaves).result()
    return {"tasks": first + len(leaves) + steps, "sum": sum(values), "chain": link.result()}


if __name__ == "__main__":
    salt.main()
