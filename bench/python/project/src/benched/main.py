"""No-op tasks in Python, warm and fresh, as `bench/project` has them in TypeScript."""

import asyncio
import time

import salt


@salt.task
def noop(n: int) -> int:
    return n


@salt.task(process="fresh")
def fresh(n: int) -> int:
    return n


@salt.workflow
async def fan_out(tasks: int, kind: str) -> int:
    task = fresh if kind == "fresh" else noop
    return sum(await asyncio.gather(*[task(n) for n in range(tasks)]))


@salt.workflow
async def chain(calls: int, kind: str) -> list[float]:
    """How many milliseconds each of so many awaited calls took."""
    task = fresh if kind == "fresh" else noop
    times = []
    for n in range(calls):
        # The clock itself, which no replay repeats, is what is measured here.
        start = time.perf_counter()
        await task(n)
        times.append((time.perf_counter() - start) * 1000)
    return times


if __name__ == "__main__":
    salt.main()
