"""The Python project of mixed.test.ts. `kitchen`, beside it, is what `salt generate` makes of the TypeScript one."""

from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import salt

from . import kitchen


@dataclass
class Parcel:
    """A value of each kind that the encoding has."""

    grams: salt.BigInt
    small: salt.BigInt
    price: Decimal
    packed: datetime
    seal: bytes
    counts: salt.Map[str, float]
    tags: set[str]
    id: UUID
    keeps: timedelta
    list: salt.FileValue
    trouble: Exception
    ratio: float
    note: str | None


@dataclass
class Inspected:
    parcel: Parcel
    kinds: dict[str, str]
    list: str


def kinds_of(parcel: dict[str, Any]) -> dict[str, str]:
    return {name: type(value).__name__ for name, value in parcel.items()}


@salt.task
def pack(note: str | None) -> Parcel:
    Path("list.txt").write_text("flour, eggs")
    return Parcel(
        grams=salt.BigInt(12_345_678_901_234_567_890),
        small=salt.BigInt(7),
        price=Decimal("1.20"),
        packed=datetime(2026, 3, 1, 12, 34, 56, 789_000, timezone.utc),
        seal=b"\x00\xff\x10",
        counts=salt.Map(eggs=12, flour=0.5),
        tags={"fragile", "cool"},
        id=UUID("0190a6f0-0000-7000-8000-000000000001"),
        keeps=timedelta(seconds=1.5),
        list=salt.file("list.txt", media_type="text/plain"),
        trouble=ValueError("too cold"),
        ratio=0.1,
        note=note,
    )


@salt.task
def inspect(parcel: Parcel, ctx: salt.TaskContext) -> Inspected:
    kinds = kinds_of({one.name: getattr(parcel, one.name) for one in fields(parcel)})
    return Inspected(parcel, kinds, ctx.path_of(parcel.list).read_text())


@salt.task
def lines(count: int) -> list[str]:
    return [f"line {line} of the pantry" for line in range(count)]


@salt.task
def count(lines: list[str]) -> int:
    return len(lines)


class Spoilt(salt.NonRetryableError):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.details = {"days": 3}


@salt.task
def spoil(what: str) -> None:
    try:
        try:
            {}[what]
        except KeyError as error:
            raise LookupError("no shelf") from error
    except LookupError as error:
        raise Spoilt(f"{what} is blue") from error


@salt.task
def halve(n: float) -> float:
    return n / 2 if n else float("nan")


@salt.workflow
async def tour() -> dict[str, Any]:
    """Parcels of either language, by value through this workflow, and by ref past it, to either language."""
    parcel = await kitchen.pack("by value")
    return {
        "kinds": kinds_of(parcel),
        "byValue": await kitchen.inspect(parcel),
        "toTypeScript": await kitchen.inspect(pack("by ref")),
        "toPython": await inspect(salt.pass_on(kitchen.pack("by ref"))),
    }


@salt.workflow
async def past(total: int) -> list[int]:
    return [await kitchen.count(lines(total)), await count(salt.pass_on(kitchen.lines(total)))]


def told(error: BaseException | None) -> dict[str, Any] | None:
    if error is None:
        return None
    about = {
        "type": getattr(error, "type", type(error).__name__),
        "message": str(error),
        "cause": told(error.__cause__),
    }
    details = getattr(error, "details", None)
    return about if details is None else {**about, "details": details}


@salt.workflow
async def accident(what: str) -> dict[str, Any] | None:
    try:
        await (kitchen.halve(0) if what == "zero" else kitchen.spill(what))
    except salt.TaskFailed as error:
        return told(error.__cause__)
    return None
