"""Options of task types, workflows and calls, checked where the project's code says them."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from .. import limits
from .._values.paths import quoted
from ..errors import SaltError

Seconds = float | int | dt.timedelta
"""A length of time: seconds, or a timedelta."""

name_pattern = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}\Z")
qualified_pattern = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}(/[A-Za-z][A-Za-z0-9_.-]{0,99})?\Z")
label_pattern = re.compile(r"[A-Za-z0-9_./-]{1,63}\Z")


@dataclass(frozen=True)
class Retry:
    """How often a task is tried, and the pauses between: exponential back-off with full jitter.

    `attempts`: in all, 1 to 1,000, default 1. `backoff`: upper bound of the first pause, default 1 s; it grows by
    `factor` (1 to 100, default 2) up to `backoff_max` (default 5 min). Each pause is drawn evenly from zero to the
    bound.
    """

    attempts: int | None = None
    backoff: Seconds | None = None
    factor: float | None = None
    backoff_max: Seconds | None = None


@dataclass(frozen=True)
class Limit:
    """How many tasks are at work at once, over all runs of the project: those that name the same limit share it.

    `name`: a letter, then letters, digits, `_`, `.` and `-`. `max`: 1 to 1,000.
    """

    name: str
    max: int


class TaskOptions(TypedDict, total=False):
    """Options that a task type declares and a call may override."""

    retry: Retry | int
    attempt_timeout: Seconds
    queue_timeout: Seconds
    priority: int
    process: Literal["warm", "fresh"]
    pool: str
    labels: dict[str, str]
    limit: Limit
    on_lease_lost: Literal["continue", "stop"]


def milliseconds(what: str, time: Seconds) -> float:
    """Milliseconds of seconds or of a timedelta. Raises SaltError `BadRequest`."""
    if isinstance(time, dt.timedelta):
        return time / dt.timedelta(milliseconds=1)
    if isinstance(time, (int, float)) and not isinstance(time, bool) and math.isfinite(time):
        return float(f"{time * 1000:.15g}")
    raise SaltError("BadRequest", f"Cannot {what}: {time!r} is neither seconds nor a timedelta.")


def checked_name(what: str, name: Any) -> str:
    """Raises SaltError `BadRequest` for what is no name of a signal, an event or an emitted value."""
    if isinstance(name, str) and name_pattern.match(name):
        return name
    raise SaltError(
        "BadRequest",
        f"Cannot use the {what} name {_shown(name)}: "
        "it must begin with a letter and hold at most 100 letters, digits, '_', '.' and '-'.",
    )


def checked_qualified_name(name: Any) -> str:
    """A task type or workflow, of this project or, as `project/name`, of another."""
    if isinstance(name, str) and qualified_pattern.match(name):
        return name
    raise SaltError("BadRequest", f"Cannot call {_shown(name)}: it is neither a name nor project/name.")


def _shown(name: Any) -> str:
    return quoted(name) if isinstance(name, str) else repr(name)


def task_options(what: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options as the protocol has them. Raises SaltError `BadRequest` naming the one that is not valid."""
    options: dict[str, Any] = {}
    for name, value in given.items():
        reader = _readers.get(name)
        if reader is None:
            raise SaltError("BadRequest", f"Cannot {what}: {name} is not an option.")
        key, read = reader
        try:
            options[key] = read(value)
        except (ValueError, TypeError, AttributeError) as error:
            raise SaltError("BadRequest", f"Cannot {what}: {name}: {error}.") from None
    return options


def _whole(least: int, most: int) -> Any:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"expected a whole number from {least} to {most}, not {value!r}")
        return value

    return read


def _duration(most_ms: float) -> Any:
    def read(value: Any) -> int:
        ms = milliseconds("use it", value)
        if not 0 < ms <= most_ms:
            raise ValueError(f"expected more than 0 and at most {most_ms / 1000:g} seconds, not {value!r}")
        return max(1, round(ms))

    return read


def _pause(value: Any) -> int:
    ms = milliseconds("use it", value)
    if not 0 <= ms <= 24 * 3600_000:
        raise ValueError(f"expected a pause of 0 to 86,400 seconds, not {value!r}")
    return round(ms)


def _factor(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= 100:
        raise ValueError(f"expected a factor from 1 to 100, not {value!r}")
    return value


def _retry(value: Any) -> dict[str, Any]:
    retry = Retry(attempts=value) if isinstance(value, int) else value
    parts = {
        "attempts": (retry.attempts, _whole(1, 1_000)),
        "backoffMs": (retry.backoff, _pause),
        "factor": (retry.factor, _factor),
        "backoffMaxMs": (retry.backoff_max, _pause),
    }
    return {name: read(part) for name, (part, read) in parts.items() if part is not None}


def _one_of(first: str, second: str) -> Any:
    def read(value: Any) -> str:
        if value not in (first, second):
            raise ValueError(f"expected '{first}' or '{second}', not {value!r}")
        return str(value)

    return read


def _limit(value: Any) -> dict[str, Any]:
    return {"name": _name(value.name), "max": _whole(1, 1_000)(value.max)}


def _name(value: Any) -> str:
    if not isinstance(value, str) or not name_pattern.match(value):
        raise ValueError(f"{value!r} is not a name")
    return value


def _labels(value: Any) -> dict[str, str]:
    labels = dict(value)
    if len(labels) > 64:
        raise ValueError("at most 64 labels are allowed")
    for label, text in labels.items():
        if not label_pattern.match(label) or not isinstance(text, str) or len(text) > 255:
            raise ValueError(f"{label!r}: {text!r} is not a label")
    return labels


_readers: dict[str, tuple[str, Any]] = {
    "retry": ("retry", _retry),
    "attempt_timeout": ("attemptTimeoutMs", _duration(30 * 24 * 3600_000)),
    "queue_timeout": ("queueTimeoutMs", _duration(2**53)),
    "priority": ("priority", _whole(-100, 100)),
    "process": ("process", _one_of("warm", "fresh")),
    "pool": ("pool", _name),
    "labels": ("labels", _labels),
    "limit": ("limit", _limit),
    "on_lease_lost": ("onLeaseLost", _one_of("continue", "stop")),
}


def workflow_options(
    run_timeout: Seconds | None, isolate: bool, pool: str | None, labels: dict[str, str] | None
) -> dict[str, Any]:
    """The options of a workflow as the manifest has them. Raises SaltError `BadRequest`."""
    options: dict[str, Any] = {}
    try:
        if run_timeout is not None:
            options["runTimeoutMs"] = _duration(2**53)(run_timeout)
        if isolate:
            options["isolate"] = True
        if pool is not None:
            options["pool"] = _name(pool)
        if labels is not None:
            options["labels"] = _labels(labels)
    except (ValueError, TypeError) as error:
        raise SaltError("BadRequest", f"Cannot declare a workflow with these options: {error}.") from None
    return options


def checked_emit_key(key: str) -> str:
    """Raises SaltError `BadRequest`."""
    if isinstance(key, str) and 1 <= len(key) <= limits.call_key_chars_max:
        return key
    raise SaltError("BadRequest", f"Cannot emit under the key {key!r}: 1 to 200 characters are allowed.")
