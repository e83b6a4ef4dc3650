"""The project of python.test.ts."""

import asyncio
import ctypes
import hashlib
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import salt


@dataclass
class Item:
    name: str
    price: Decimal
    due: datetime


@dataclass
class Decision:
    by: str


@dataclass
class Receipt:
    total: Decimal
    due: datetime
    approved_by: str
    tracking: str


def note(path: str, what: str) -> None:
    """Writes down an execution, in one write, so that no two mix."""
    with open(path, "a") as file:
        file.write(f"{what} {os.getpid()}\n")


@salt.task(retry=3)
def price(path: str, item: Item) -> Decimal:
    note(path, f"price {item.name}")
    return item.price * 2


@salt.task(retry=3)
async def total(path: str, prices: list[Decimal]) -> Decimal:
    await asyncio.sleep(0.01)
    note(path, "total")
    return sum(prices, Decimal(0))


@salt.task(retry=3)
def latest(path: str, items: list[Item]) -> datetime:
    note(path, "latest")
    return max(item.due for item in items)


@salt.task(retry=3)
def track(path: str, run: str) -> str:
    note(path, "track")
    return f"tracking {run}"


@salt.workflow
def ship(path: str, total: Decimal) -> str:
    salt.sleep(0.05).result()
    return track(path, f"{total}").result()


@salt.workflow
def order(path: str, items: list[Item]) -> Receipt:
    prices = [price(path, item) for item in items]
    sums = total(path, prices)  # type: ignore[arg-type]
    due = latest(path, items)
    decision = salt.wait_for_signal("decision", type=Decision).result()
    shipped = ship(path, salt.pass_on(sums))
    return Receipt(sums.result(), due.result(), decision.by, shipped.result())


@salt.workflow
async def order_async(path: str, items: list[Item]) -> Receipt:
    prices = [price(path, item) for item in items]
    sums = total(path, prices)  # type: ignore[arg-type]
    due = latest(path, items)
    decision = await salt.wait_for_signal("decision", type=Decision)
    shipped = ship(path, salt.pass_on(sums))
    amount, latest_due, tracking = await asyncio.gather(sums, due, shipped)
    return Receipt(amount, latest_due, decision.by, tracking)


@salt.workflow
def unordered(path: str) -> list[str]:
    """Goes over a set, whose order Python does not promise, and passes one on."""
    names = {"tea", "milk", "bread", "salt", "butter", "jam"}
    tracked = [track(path, name) for name in names]
    last = salt.call("count", {"path": path, "names": names}, output=int)
    salt.wait_for_signal("decision").result()
    return sorted([*(ref.result() for ref in tracked), str(last.result())])


@salt.task
def count(path: str, names: set[str]) -> int:
    note(path, "count")
    return len(names)


class OutOfStock(Exception):
    pass


@salt.task
def fails(how: str) -> None:
    if how == "raise":
        try:
            {}["apples"]
        except KeyError as error:
            raise OutOfStock("no apples") from error
    if how == "exit":
        sys.exit("enough")
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "os._exit":
        print("about to go", flush=True)
        os._exit(9)
    if how == "segfault":
        ctypes.string_at(0)


@salt.workflow
def failing(how: str) -> None:
    fails(how).result()


@salt.task
def blocks(path: str, how: str) -> None:
    note(path, "begun")
    try:
        if how == "python":
            time.sleep(600)
        else:
            # Neither lets go to Python's signal handlers, nor ends.
            hashlib.pbkdf2_hmac("sha256", b"x", b"x", 2**31 - 1)
    finally:
        note(path, "cleaned up")


@salt.workflow
def blocking(path: str, how: str) -> None:
    blocks(path, how).result()


def _square(n: int) -> int:
    return n * n


@salt.task
def parallel() -> list[int]:
    """Threads, processes and a subprocess, all of which print."""

    def say(name: str) -> None:
        for line in range(50):
            print(f"{name} line {line}")
            print(f"{name} error {line}", file=sys.stderr)

    threads = [threading.Thread(target=say, args=(f"thread{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    subprocess.run(["echo", "from a subprocess"], check=True)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        squares = pool.map(_square, range(5))
    print("the last words", end="")
    return squares


@salt.workflow
def printing() -> list[int]:
    return parallel().result()


@salt.task
def write_report(lines: int, large: bool) -> dict[str, salt.FileValue | str]:
    with open("report.csv", "w") as file:
        file.writelines(f"{line}\n" for line in range(lines))
    return {"report": salt.file("report.csv", media_type="text/csv"), "text": "x" * 100_000 if large else ""}


@salt.task
def read_report(written: dict[str, salt.FileValue | str], ctx: salt.TaskContext) -> list[str | int]:
    report, text = written["report"], written["text"]
    assert isinstance(report, salt.FileValue)
    return [report.name or "", ctx.path_of(report).read_text().count("\n"), len(text)]


@salt.workflow
async def reports(lines: int) -> list[list[str | int]]:
    """Files and large values from task to task, with a pause between."""
    written = [write_report(lines, large) for large in (False, True)]
    began = salt.now()
    await salt.sleep(timedelta(milliseconds=30))
    assert salt.now() > began
    return [await read_report(salt.pass_on(one)) for one in written]


if __name__ == "__main__":
    salt.main()
