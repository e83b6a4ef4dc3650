"""The workflows that sdk/conformance/README.md describes, as plain functions."""

from typing import Any

from conformance_tasks import RangeError, add, fetch_one, store, sum_of, undo

import salt


@salt.workflow
def echo(value: Any) -> Any:
    return value


@salt.workflow
def both(a: float, b: float) -> list[float]:
    return salt.gather(add(a, 1), add(b, 1)).result()


@salt.workflow
def first(a: float, b: float) -> float:
    return salt.first([add(a, 0), add(b, 0)]).result().result()


@salt.workflow
def chain(n: int) -> float:
    return add(salt.pass_on(add(n, 1)), 1).result()


@salt.workflow
def gather(n: int) -> float:
    return sum_of([salt.pass_on(add(i, 1)) for i in range(1, n + 1)]).result()


@salt.workflow
def swap() -> list[str]:
    pending = {fetch_one(i): ("fetch", i) for i in (1, 2)}
    stored: dict[int, str] = {}
    while pending:
        ref = salt.first(pending).result()
        step, i = pending.pop(ref)
        if step == "fetch":
            pending[store(ref.result())] = ("store", i)
        else:
            stored[i] = ref.result()
    return [stored[1], stored[2]]


@salt.workflow
def later(n: int) -> float:
    early = add(n, 1)
    add(n, 2).result()
    return early.result()


@salt.workflow
def keyed(twice: bool) -> float:
    add.options(key="mine")(1, 1).result()
    return add.options(key="mine" if twice else "yours", priority=5)(2, 2).result()


@salt.workflow
def approve() -> Any:
    try:
        return salt.wait_for_signal("approval", timeout=60).result()
    except salt.TimedOut:
        return "nobody answered"


@salt.workflow
def mail() -> list[Any]:
    return [salt.wait_for_signal("mail").result(), salt.wait_for_signal("mail").result()]


@salt.workflow
def event() -> Any:
    return salt.wait_for_event("shipped", match={"/order": 7}).result()


@salt.workflow
def nap() -> dict[str, Any]:
    before = salt.now()
    salt.sleep(1).result()
    return {"before": before, "after": salt.now(), "random": [salt.random(), salt.random()], "uuid": str(salt.uuid())}


@salt.workflow
def careful() -> float:
    try:
        return add(1, 1).result()
    except salt.CancelledError:
        with salt.shielded():
            undo().result()
        raise


@salt.workflow
def stubborn() -> float:
    try:
        salt.sleep(1).result()
    except salt.CancelledError:
        # It goes on as if nothing had been said.
        pass
    return add(1, 1).result()


@salt.workflow
def again(n: int) -> str:
    if n > 0:
        salt.restart(n - 1)
    return "done"


@salt.workflow
def parent() -> Any:
    try:
        return echo({"a": add(1, 1)}).result()
    except salt.TaskFailed as error:
        return f"child: {error.failure['type']}"


@salt.workflow
def foreign() -> Any:
    return salt.call("fraud/score", {"id": 1}).result()


@salt.workflow
def throws() -> None:
    add(1, 1).result()
    raise RangeError("out")


if __name__ == "__main__":
    salt.main()
