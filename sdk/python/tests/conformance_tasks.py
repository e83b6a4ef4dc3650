"""The task types that sdk/conformance/README.md describes."""

import time

import salt


class RangeError(Exception):
    """The name that the transcripts have for an error of the project's own."""


@salt.task
def add(a: float, b: float) -> float:
    return a + b


@salt.task(name="fetch")
def fetch_one(i: int) -> str:
    return f"v{i}"


@salt.task
def store(value: str) -> str:
    return value


@salt.task
def stall() -> None:
    time.sleep(3600)


@salt.task
def undo() -> str:
    return "undone"


@salt.task
def boom() -> None:
    raise RangeError("no")


@salt.task
def hopeless() -> None:
    salt.fatal("never")


@salt.task(
    checks={
        "positive": lambda n: n > 0 or salt.check.fail("not positive", {"n": n}),
        "small": lambda n: n < 100 or salt.check.warn("large"),
    }
)
def checked(n: int) -> int:
    return n


@salt.task(name="sum")
async def sum_of(numbers: list[float]) -> float:
    return sum(numbers)


@salt.task
def text() -> str:
    return 7  # type: ignore[return-value]
