"""The golden vectors, and what is Python's own in the encoding of values."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from results import record_results

from salt import BigInt, FileValue, Map, RemoteError, UnencodableValue
from salt._values.decode import decode_value
from salt._values.encode import EncodeOptions, encode_value
from salt._values.types import RefLike
from salt.errors import UndecodableValue

passed: list[str] = []
vectors = json.loads((Path(__file__).parents[2] / "conformance" / "values.json").read_text())


@dataclass(eq=True, frozen=True)
class AnyRef(RefLike):
    key: str


def build(described: Any) -> Any:
    """The value that a vector describes."""
    if described is None or isinstance(described, bool):
        return described
    [(kind, value)] = described.items()
    return builders[kind](value)


def pairs(value: list[list[Any]]) -> list[tuple[Any, Any]]:
    return [(build(key), build(member)) for key, member in value]


def error(value: dict[str, Any]) -> RemoteError:
    made = RemoteError({"type": value["type"], "message": value["message"], "retryable": True})
    made.__cause__ = build(value["cause"]) if "cause" in value else None
    return made


builders: dict[str, Callable[[Any], Any]] = {
    "string": str,
    "number": lambda text: float(text) if "." in text or "e" in text else int(text),
    "list": lambda members: [build(member) for member in members],
    "object": lambda fields: {key: build(member) for key, member in fields},
    "date": lambda text: dt.datetime.fromisoformat(text.replace("Z", "+00:00")),
    "bytes": bytes.fromhex,
    "bigint": lambda text: BigInt(text),
    "decimal": Decimal,
    "map": lambda value: Map(pairs(value)),
    "set": lambda members: {build(member) for member in members},
    "uuid": uuid.UUID,
    "durationMs": lambda text: dt.timedelta(microseconds=round(float(text) * 1_000)),
    "file": lambda about: FileValue(about["sha256"], about["bytes"], about.get("name"), about.get("mediaType")),
    "ref": AnyRef,
    "error": error,
}


def comparable(value: Any) -> Any:
    """Exceptions are equal by what they say."""
    if isinstance(value, RemoteError):
        return (value.type, value.message, comparable(value.__cause__))
    return (type(value) is BigInt, type(value) is Map, value)


@pytest.mark.parametrize("vector", vectors["values"], ids=lambda vector: vector["name"])
def test_golden_value(vector: dict[str, Any]) -> None:
    value = build(vector["value"])
    assert encode_value(value) == vector["text"]
    for text in [vector["text"], *vector.get("alsoDecodes", [])]:
        assert comparable(decode_value(text, AnyRef)) == comparable(value)
    passed.append(f"values: {vector['name']}")


@pytest.mark.parametrize("vector", vectors["decodes"], ids=lambda vector: vector["name"])
def test_golden_decoding(vector: dict[str, Any]) -> None:
    assert decode_value(vector["text"]) == build(vector["value"])
    passed.append(f"decodes: {vector['name']}")


@pytest.mark.parametrize("vector", vectors["refused"], ids=lambda vector: vector["name"])
def test_golden_refusal(vector: dict[str, Any]) -> None:
    with pytest.raises(UndecodableValue) as raised:
        decode_value(vector["text"], AnyRef)
    assert raised.value.path == vector["path"]
    passed.append(f"refused: {vector['name']}")


def test_the_table_of_what_each_sdk_has_is_made_of_these_results() -> None:
    count = sum(len(vectors[kind]) for kind in ("values", "decodes", "refused"))
    if len(passed) < count:
        pytest.skip("only some of the vectors were read")
    assert record_results("values", passed) == passed


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Order:
    id: int
    lines: list[Any]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Colour.RED, '"red"'),
        (Level.HIGH, "3"),
        (Point(1, 2), "[1,2]"),
        (Order(1, [Order(2, [])]), '{"id":1,"lines":[{"id":2,"lines":[]}]}'),
        ((1, (2,)), "[1,[2]]"),
        (dt.date(2026, 3, 1), '"2026-03-01"'),
        (dt.time(12, 34, 56), '"12:34:56"'),
        (
            dt.datetime(2026, 3, 1, 12, 0, 0, 123_456, dt.timezone(dt.timedelta(hours=2))),
            '{"$salt":"date","v":"2026-03-01T10:00:00.123456Z"}',
        ),
        (2**53 - 1, "9007199254740991"),
        (2**53, '{"$salt":"bigint","v":"9007199254740992"}'),
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e-6, "0.000001"),
        (1.5e-7, "1.5e-7"),
        ({2: "a"}, '{"$salt":"map","v":[[2,"a"]]}'),
        ({}, "{}"),
        ({"b", "a", 10, 9, Decimal(1)}, '{"$salt":"set","v":[9,10,"a","b",{"$salt":"decimal","v":"1"}]}'),
        (bytearray(b"\x00"), '{"$salt":"bytes","v":"AA=="}'),
        (ValueError("no"), '{"$salt":"error","v":{"type":"ValueError","message":"no"}}'),
    ],
)
def test_python_types_have_an_encoding(value: Any, text: str) -> None:
    assert encode_value(value) == text


class Strange:
    pass


cycle: dict[str, Any] = {"list": []}
cycle["list"].append({"back": cycle})
deep: Any = 1
for _ in range(600):
    deep = {"deep": deep}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"a": [{"f": len}]}, "$.a[0].f"),
        ({"odd key": math.nan}, '$["odd key"]'),
        (-math.inf, "$"),
        (["\ud800"], "$[0]"),
        ({"\ud800": 1}, '$["\\ud800"]'),
        ({"who": Strange()}, "$.who"),
        ({"at": dt.datetime(2026, 1, 1)}, "$.at"),
        (Decimal("NaN"), "$"),
        # pytest would show the number itself.
        pytest.param(10**5_000, "$", id="5,000 digits"),
        (cycle, "$.list[0].back"),
        ({(1, 2): len}, "$<0>"),
        (Map({"k": {1: len}}), "$<0><0>"),
        (Order(1, [Strange()]), "$.lines[0]"),
    ],
)
def test_a_value_without_encoding_names_its_path(value: Any, path: str) -> None:
    with pytest.raises(UnencodableValue) as raised:
        encode_value(value)
    assert raised.value.path == path
    assert raised.value.code == "InvalidInput"


def test_nesting_beyond_500_levels_is_refused_whatever_its_depth() -> None:
    with pytest.raises(UnencodableValue, match="nested"):
        encode_value(deep)
    deeper: Any = deep
    for _ in range(100_000):
        deeper = [deeper]
    with pytest.raises(UnencodableValue, match="nested"):
        encode_value(deeper)
    with pytest.raises(UndecodableValue, match="nested"):
        decode_value("[" * 5_000 + '{"$salt":"set","v":[]}' + "]" * 5_000)
    while isinstance(deeper, list):
        # Taken apart by hand: its own end would be a recursion too deep.
        deeper = deeper.pop()


def test_integers_beyond_a_double_are_read_as_the_double_that_others_read() -> None:
    assert decode_value("123456789012345678901234567890") == 1.2345678901234568e29
    assert isinstance(decode_value("9007199254740991"), int)


def test_refs_and_files_are_reported() -> None:
    refs: list[str] = []
    files: list[FileValue] = []
    file = FileValue("b" * 64, 3)
    options = EncodeOptions(on_ref=lambda ref: refs.append(ref.key), on_file=files.append)
    encode_value({"a": AnyRef("x#1"), "list": [AnyRef("y#1"), AnyRef("x#1")], "file": file}, options)
    assert (refs, files) == (["x#1", "y#1", "x#1"], [file])


def random_value(chance: random.Random, depth: int = 0) -> Any:
    makers: list[Callable[[], Any]] = [
        lambda: None,
        lambda: chance.random() < 0.5,
        lambda: chance.randrange(-(2**60), 2**60),
        lambda: chance.uniform(-1, 1) * 10 ** chance.randrange(-320, 309),
        lambda: "".join(chr(chance.choice([36, 65, 0x301, 0x2028, 0x1F600, 10])) for _ in range(chance.randrange(8))),
        lambda: chance.choice(["$salt", "$$salt", "__proto__"]),
        lambda: dt.datetime(1, 1, 1, tzinfo=dt.timezone.utc) + dt.timedelta(microseconds=chance.randrange(3 * 10**17)),
        lambda: dt.timedelta(microseconds=chance.randrange(-(10**15), 10**15)),
        lambda: chance.randbytes(chance.randrange(9)),
        lambda: Decimal(chance.randrange(10**9)).scaleb(chance.randrange(-9, 9)),
        lambda: uuid.UUID(int=chance.getrandbits(128)),
    ]
    if depth < 4:

        def inner() -> Any:
            return random_value(chance, depth + 1)

        makers += [
            lambda: [inner() for _ in range(chance.randrange(4))],
            lambda: {chance.choice(["a", "$salt", "é", ""]): inner() for _ in range(chance.randrange(4))},
            lambda: Map({chance.randrange(9): inner() for _ in range(chance.randrange(4))}),
            lambda: {chance.randrange(9) for _ in range(chance.randrange(4))},
        ]
    return chance.choice(makers)()


def test_what_is_encoded_decodes_to_the_same_value_and_encodes_to_the_same_text() -> None:
    chance = random.Random(1)
    for _ in range(3_000):
        value = random_value(chance)
        text = encode_value(value)
        back = decode_value(text)
        assert encode_value(back) == text
        assert back == value or math.isclose(back, value)
