"""The project that test_program.py starts as a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import salt


@salt.task
def noop() -> int:
    return 1


@salt.task
def where(ctx: salt.TaskContext) -> dict[str, Any]:
    print("here")
    left = {
        "env": os.environ.get("LEFT"),
        "cwd": Path.cwd() == ctx.folder,
        "tmp": tempfile.gettempdir() == str(ctx.folder),
        "main": threading.current_thread() is threading.main_thread(),
        "secrets": [name for name in os.environ if name.startswith("SALT_")],
    }
    os.environ["LEFT"] = "left over"
    os.chdir("/")
    return left


@salt.task
def leaves_thread() -> None:
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()


@salt.task
def leaves_child() -> None:
    subprocess.Popen(["sleep", "3"])


@salt.task
def large(size: int) -> str:
    return "x" * size


@salt.task
def waits(how: str) -> str:
    salt.progress(0.5, str(subprocess.Popen(["sleep", "600"]).pid) if how == "child" else "half")
    if how == "signal":
        salt.context().cancelled.wait()
        return "saw it"
    time.sleep(60)
    return "slept"


@salt.task
async def waits_async() -> None:
    salt.progress("async")
    await asyncio.sleep(60)


@salt.task
def stubborn() -> str:
    try:
        salt.progress("begun")
        time.sleep(60)
    except salt.CancelledError:
        return "cleaned up"
    return "slept"


@salt.task
def makes_file() -> dict[str, salt.FileValue]:
    Path("report.csv").write_text("a,b\n")
    return {"report": salt.file("report.csv", media_type="text/csv")}


@salt.task
def reads_file(report: salt.FileValue, other: str = "") -> str:
    return Path(salt.path_of(report)).read_text()


@salt.task
def emits(ctx: salt.TaskContext) -> None:
    salt.emit("row", {"n": salt.BigInt(1)})

    # A thread of the task's own belongs to it, too.
    thread = threading.Thread(target=lambda: salt.emit("row", 2))
    thread.start()
    thread.join()
    ctx.emit("row", 3, key="own")
    ctx.log("told", n=1)


@salt.task
def prints_at_exit() -> None:
    import atexit

    atexit.register(print, "at exit")
    sys.stdout.write("no line end")


@salt.task
def raises(how: str) -> None:
    if how == "exit":
        sys.exit(3)
    if how == "nested":
        try:
            int("x")
        except ValueError:
            raise LookupError("while looking") from None
    try:
        os.environ["NO SUCH NAME"]
    except KeyError:
        raise RuntimeError("context")  # noqa: B904


@salt.workflow
def naps(n: float) -> int:
    salt.sleep(n / 1_000).result()
    return noop().result() + int(n)


@salt.workflow
def says_that_it_naps(n: float) -> None:
    print("naps", flush=True)
    salt.sleep(n / 1_000).result()


@salt.workflow
async def naps_async(n: float) -> int:
    await asyncio.sleep(n / 1_000)
    return await noop() + int(n)


@salt.workflow
def waits_for_signal() -> Any:
    return salt.wait_for_signal("go").result()


@salt.workflow
def blocks() -> None:
    time.sleep(5)


@salt.workflow
def cleans_up(path: str) -> None:
    try:
        salt.wait_for_signal("go").result()
    finally:
        with open(path, "a") as file:
            file.write("unwound\n")
        noop()


@salt.task(
    retry=salt.Retry(attempts=3, backoff=0.001),
    limit=salt.Limit("door", 2),
    on_lease_lost="stop",
)
def third_time(path: str) -> str:
    with open(path, "a") as file:
        file.write("x")
    if len(Path(path).read_text()) < 3:
        raise RuntimeError("not yet")
    return "at last"


@salt.workflow
def tries(path: str) -> str:
    return third_time(path).result()


@salt.task(attempt_timeout=0.05)
def slow() -> None:
    salt.context().cancelled.wait(5)


@salt.workflow
def too_slow() -> None:
    slow().result()


@salt.workflow
def many(count: int) -> int:
    return sum(salt.gather(*(noop() for _ in range(count))).result())


if __name__ == "__main__":
    salt.main()
