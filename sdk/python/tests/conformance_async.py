"""The workflows that sdk/conformance/README.md describes, as async functions."""

import asyncio
from typing import Any

from conformance_tasks import RangeError, add, fetch_one, store, sum_of, undo

import salt


@salt.workflow
async def echo(value: Any) -> Any:
    return value


@salt.workflow
async def both(a: float, b: float) -> list[float]:
    return list(await asyncio.gather(add(a, 1), add(b, 1)))


@salt.workflow
async def first(a: float, b: float) -> float:
    tasks = [asyncio.ensure_future(ref) for ref in (add(a, 0), add(b, 0))]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    return done.pop().result()


@salt.workflow
async def chain(n: int) -> float:
    return await add(salt.pass_on(add(n, 1)), 1)


@salt.workflow
async def gather(n: int) -> float:
    return await sum_of([salt.pass_on(add(i, 1)) for i in range(1, n + 1)])


@salt.workflow
async def swap() -> list[str]:
    async def one(i: int) -> str:
        return await store(await fetch_one(i))

    return list(await asyncio.gather(one(1), one(2)))


@salt.workflow
async def later(n: int) -> float:
    early = add(n, 1)
    await add(n, 2)
    return await early


@salt.workflow
async def keyed(twice: bool) -> float:
    await add.options(key="mine")(1, 1)
    return await add.options(key="mine" if twice else "yours", priority=5)(2, 2)


@salt.workflow
async def approve() -> Any:
    try:
        return await salt.wait_for_signal("approval", timeout=60)
    except salt.TimedOut:
        return "nobody answered"


@salt.workflow
async def mail() -> list[Any]:
    return [await salt.wait_for_signal("mail"), await salt.wait_for_signal("mail")]


@salt.workflow
async def event() -> Any:
    return await salt.wait_for_event("shipped", match={"/order": 7})


@salt.workflow
async def nap() -> dict[str, Any]:
    before = salt.now()
    await salt.sleep(1)
    return {"before": before, "after": salt.now(), "random": [salt.random(), salt.random()], "uuid": str(salt.uuid())}


@salt.workflow
async def careful() -> float:
    try:
        return await add(1, 1)
    except salt.CancelledError:
        with salt.shielded():
            await undo()
        raise


@salt.workflow
async def stubborn() -> float:
    try:
        await salt.sleep(1)
    except salt.CancelledError:
        # It goes on as if nothing had been said.
        pass
    return await add(1, 1)


@salt.workflow
async def again(n: int) -> str:
    if n > 0:
        salt.restart(n - 1)
    return "done"


@salt.workflow
async def parent() -> Any:
    try:
        return await echo({"a": add(1, 1)})
    except salt.TaskFailed as error:
        return f"child: {error.failure['type']}"


@salt.workflow
async def foreign() -> Any:
    return await salt.call("fraud/score", {"id": 1})


@salt.workflow
async def throws() -> None:
    await add(1, 1)
    raise RangeError("out")


if __name__ == "__main__":
    salt.main()
