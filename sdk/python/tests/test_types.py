"""Type hints: schemas, arguments that arrive as what they are annotated as, and outputs that are looked at."""

from __future__ import annotations

import datetime as dt
import enum
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, NewType, Optional, TypedDict, Union

import pytest

from salt import BigInt, FileValue, Map, SaltError
from salt._declare.signature import Signature
from salt._types.of_hint import shape_of
from salt._types.shape import BAD, Complaints, schema_of
from salt.errors import InvalidInput, ValidationError

pydantic = pytest.importorskip("pydantic")


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclass
class Line:
    sku: str
    price: Decimal
    tags: set[str] = field(default_factory=set)


@dataclass
class Order:
    id: uuid.UUID
    at: dt.datetime
    lines: list[Line]
    parent: Order | None = None

    def __post_init__(self) -> None:
        if not self.lines:
            raise ValueError("an order has lines")


class Movie(TypedDict, total=False):
    name: str
    year: int


class Strict(TypedDict):
    name: str


class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
    n: int
    at: dt.datetime
    inner: list[Line] = pydantic.Field(default_factory=list)


UserId = NewType("UserId", int)
utc = dt.timezone.utc
when = dt.datetime(2026, 3, 1, tzinfo=utc)


def read(hint: Any, value: Any) -> Any:
    """What becomes of the value, or the complaints as text."""
    complaints = Complaints()
    got = shape_of(hint).read(value, complaints)
    return complaints.text() if got is BAD else got


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, 42.0, 42),
        (int, BigInt(7), 7),
        (int, 1.5, "$: expected a whole number, not float"),
        (int, True, "$: expected a whole number, not a boolean"),
        (float, 1, 1.0),
        (str, 1, "$: expected a string, not int"),
        (bool, 1, "$: expected a boolean, not int"),
        (bytes, "AP8Q", b"\x00\xff\x10"),
        (dt.datetime, "2026-03-01T01:00:00+01:00", when),
        (dt.datetime, "2026-03-01", "$: expected a date and time, not a string"),
        (dt.date, "2026-03-01", dt.date(2026, 3, 1)),
        (dt.time, "12:34:56", dt.time(12, 34, 56)),
        (dt.timedelta, dt.timedelta(1), dt.timedelta(1)),
        (Decimal, "1.20", Decimal("1.20")),
        (Decimal, 1.2, "$: expected a decimal number, not float"),
        (uuid.UUID, "0190a6f0-0000-7000-8000-000000000001", uuid.UUID("0190a6f0-0000-7000-8000-000000000001")),
        (Colour, "red", Colour.RED),
        (Colour, 2, Colour.BLUE),
        (Colour, "green", "$: expected one of 'red', 2"),
        (Literal["a", 1], 1, 1),
        (Literal["a", 1], True, "$: expected one of 'a', 1"),
        (Optional[int], None, None),
        (Union[int, str], "5", "5"),
        (Union[float, int], 1, 1),
        (Union[dt.datetime, str], "x", "x"),
        (int | None, "x", "$: expected a whole number, not a string"),
        (int | bytes, 1.5, "$: float fits none of the types that are allowed here"),
        (
            list[int],
            [1, "2", 3, None],
            "$[1]: expected a whole number, not a string; $[3]: expected a whole number, not null",
        ),
        (Sequence[int], (1, 2), [1, 2]),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, str], [1], "$: expected 2 members, not 1"),
        (set[int], [1, 1, 2], {1, 2}),
        (frozenset[str], {"a"}, frozenset("a")),
        (dict[str, int], {"a": 1.0}, {"a": 1}),
        (Mapping[str, int], {"a": "x"}, "$.a: expected a whole number, not a string"),
        (dict[int, str], Map({1: "a"}), {1: "a"}),
        (Point, [1], Point(1, 0.0)),
        (Point, {"x": 1, "y": 2}, Point(1, 2.0)),
        (Movie, {"year": 1982}, {"year": 1982}),
        (Movie, {"year": "x"}, "$.year: expected a whole number, not a string"),
        (Strict, {}, "$.name: is missing"),
        (UserId, 5, 5),
        (Annotated[int, "about"], 5, 5),
        (Any, len, len),
        (Line, {"sku": "a", "price": "1"}, Line("a", Decimal(1))),
        (Line, {"sku": 1}, "$.sku: expected a string, not int; $.price: is missing"),
        (FileValue, {"sha256": "x"}, "$: expected a file, not an object"),
        (Model, {"n": "5", "at": when}, Model(n=5, at=when)),
    ],
    ids=repr,
)
def test_reads(hint: Any, value: Any, expected: Any) -> None:
    got = read(hint, value)
    assert got == expected
    assert type(got) is type(expected)


def test_a_dataclass_of_dataclasses_arrives_whole_and_its_own_refusal_is_told() -> None:
    raw = {
        "id": "0190a6f0-0000-7000-8000-000000000001",
        "at": "2026-03-01T00:00:00Z",
        "lines": [{"sku": "a", "price": "1"}],
    }
    order = read(Order, {**raw, "parent": raw})
    assert isinstance(order, Order)
    assert order.parent == Order(uuid.UUID(raw["id"]), when, [Line("a", Decimal(1))])  # type: ignore[arg-type]
    assert read(Order, order) == order
    assert read(Order, {**raw, "parent": {**raw, "lines": []}}) == "$.parent: an order has lines"
    assert read(Order, {**raw, "lines": []}) == "$: an order has lines"


def test_pydantic_complains_with_its_places() -> None:
    assert read(Model, {"n": "x", "at": when}).startswith("$.n: ")


def test_schemas() -> None:
    assert schema_of(shape_of(Movie)) == {
        "type": "object",
        "properties": {"name": {"type": "string"}, "year": schema_of(shape_of(int))},
    }
    order = schema_of(shape_of(Order))
    assert isinstance(order, dict)
    assert order["$ref"] == "#/$defs/Order"
    parent = order["$defs"]["Order"]["properties"]["parent"]
    assert parent == {"anyOf": [{"$ref": "#/$defs/Order"}, {"type": "null"}]}
    assert schema_of(shape_of(Any)) is True
    model = schema_of(shape_of(Model))
    assert isinstance(model, dict)
    assert model["properties"]["at"]["anyOf"][0]["properties"]["$salt"] == {"const": "date"}


@pytest.mark.parametrize(
    ("hint", "tag"),
    [
        (Decimal, "decimal"),
        (dt.datetime, "date"),
        (bytes, "bytes"),
        (uuid.UUID, "uuid"),
        (BigInt, "bigint"),
        (set[int], "set"),
    ],
)
def test_what_is_given_has_one_form_and_what_is_read_may_have_others(hint: Any, tag: str) -> None:
    given = schema_of(shape_of(hint), given=True)
    assert isinstance(given, dict)
    assert given["properties"]["$salt"] == {"const": tag}
    read = schema_of(shape_of(hint))
    assert isinstance(read, dict)
    assert len(read["anyOf"]) > 1


@pytest.mark.parametrize("value", [7, BigInt(7), 2**70])
def test_what_is_annotated_as_a_bigint_is_one_however_small(value: int) -> None:
    assert type(read(BigInt, value)) is BigInt


def test_a_dict_is_given_as_an_object_unless_its_keys_may_be_anything() -> None:
    assert schema_of(shape_of(dict[str, int]), given=True) == {
        "type": "object",
        "additionalProperties": schema_of(shape_of(int)),
    }
    loose = schema_of(shape_of(dict[Any, int]), given=True)
    assert isinstance(loose, dict)
    assert len(loose["anyOf"]) == 2


def nothing() -> None: ...


def one(n: int = 5) -> str:
    return str(n)


def two(a: int, b: str = "b", *, c: list[float] | None = None) -> dict[str, int]:
    return {"a": a}


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "argument"),
    [
        (nothing, (), {}, None),
        (one, (), {}, None),
        (one, (7,), {}, 7),
        (two, (1,), {}, {"a": 1}),
        (two, (1,), {"c": [1.0]}, {"a": 1, "c": [1.0]}),
    ],
)
def test_s1_s3_a_calls_arguments_are_one_input(fn: Any, args: Any, kwargs: Any, argument: Any) -> None:
    assert Signature("task type 'x'", fn).bind(args, kwargs) == argument


def test_a_call_that_python_would_refuse_is_refused() -> None:
    with pytest.raises(TypeError, match="task type 'x': missing a required argument: 'a'"):
        Signature("task type 'x'", two).bind((), {})


def test_inputs_are_read_as_annotated_and_absent_ones_get_their_defaults() -> None:
    signature = Signature("task type 'two'", two)
    assert signature.read_input("two", {"a": 1.0, "c": [1]}) == {"a": 1, "c": [1.0]}
    assert signature.call({"a": 3}) == {"a": 3}
    with pytest.raises(InvalidInput, match=r"'two' is not valid: \$\.a: is missing; \$\.d: is not known here"):
        signature.read_input("two", {"d": 1})
    assert Signature("task type 'one'", one).read_input("one", None) == {}


def test_outputs_are_looked_at() -> None:
    signature = Signature("task type 'two'", two)
    with pytest.raises(ValidationError, match=r"'two' is not valid: \$\.a: expected a whole number, not a string"):
        signature.read_output("two", {"a": "x"})


class Unknown:
    pass


def takes_unknown(x: list[Unknown]) -> None: ...


def takes_missing(x: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037


def takes_many(*args: int) -> None: ...


def test_what_has_no_encoding_is_refused_with_the_declarations_name() -> None:
    with pytest.raises(SaltError, match="Cannot describe task type 'x': 'x': the type Unknown has no encoding"):
        Signature("task type 'x'", takes_unknown).input_schema()
    with pytest.raises(SaltError, match="cannot be resolved: name 'Nowhere' is not defined"):
        Signature("task type 'x'", takes_missing).input_schema()
    with pytest.raises(SaltError, match="its parameter 'args' takes any number of arguments"):
        Signature("task type 'x'", takes_many)
