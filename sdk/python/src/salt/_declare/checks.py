"""Checks on a task's output."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .. import limits
from .._values.paths import well_formed
from ..failure import message_of

if TYPE_CHECKING:
    from .._messages.common.outcomes import CheckResult


@dataclass(frozen=True)
class CheckFinding:
    """What a check found. `pass` and `warn` let the attempt succeed; `fail` fails it with a ValidationError.

    `details` are structured particulars, kept with the settlement: anything that JSON can hold.
    """

    result: Literal["pass", "warn", "fail"]
    message: str | None = None
    details: Any = None


class check:
    """Answers of a check: `check.warn("only 3 rows", {"rows": 3})`. True passes too, False fails."""

    @staticmethod
    def ok(message: str | None = None, details: Any = None) -> CheckFinding:
        """Passes."""
        return CheckFinding("pass", message, details)

    @staticmethod
    def warn(message: str | None = None, details: Any = None) -> CheckFinding:
        """Lets the task succeed with a warning."""
        return CheckFinding("warn", message, details)

    @staticmethod
    def fail(message: str | None = None, details: Any = None) -> CheckFinding:
        """Fails the attempt."""
        return CheckFinding("fail", message, details)


def result_of(name: str, answer: Any) -> CheckResult:
    """A check's result as the protocol has it."""
    if isinstance(answer, (bool, int)) and answer in (True, False):
        return {"name": name, "result": "pass" if answer else "fail"}
    if type(answer).__name__ in ("bool_", "bool"):
        return result_of(name, bool(answer))
    if not isinstance(answer, CheckFinding):
        return {"name": name, "result": "fail", "message": "the check answered neither True, False nor a finding"}
    result: CheckResult = {"name": name, "result": answer.result}
    if answer.message is not None:
        result["message"] = well_formed(answer.message)[: limits.message_chars_max]
    if answer.details is not None:
        result["details"] = json.loads(json.dumps(answer.details, default=str))
    return result


def result_of_error(name: str, error: Exception) -> CheckResult:
    """A check that raises has failed."""
    return {"name": name, "result": "fail", "message": message_of(error)[: limits.message_chars_max]}
