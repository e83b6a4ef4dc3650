"""What reports say of exceptions."""

from __future__ import annotations

from typing import Any

import pytest

from salt import NonRetryableError, SaltError, TaskFailed, limits
from salt._messages.common.outcomes import Failure
from salt.failure import failure_of


class OutOfStock(Exception):
    details = {"sku": 7}  # noqa: RUF012


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def caught(error: BaseException, cause: BaseException | None = None) -> BaseException:
    """The exception as it is after it was raised."""
    try:
        raise error from cause
    except BaseException as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OutOfStock("none"), {"type": "OutOfStock", "message": "none", "retryable": True, "details": {"sku": 7}}),
        (KeyError("k"), {"type": "KeyError", "message": "'k'"}),
        (NonRetryableError("never"), {"retryable": False}),
        (SaltError("TooLarge", "Too big.", next="Cut it."), {"type": "TooLarge", "message": "Too big. Cut it."}),
        (Silent(), {"type": "Silent", "message": "(the exception has no readable message)"}),
        (SystemExit(3), {"type": "SystemExit", "message": "3"}),
        (KeyboardInterrupt(), {"type": "KeyboardInterrupt", "message": ""}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_class_message_and_details(error: BaseException, expected: dict[str, Any]) -> None:
    failure: dict[str, Any] = {**failure_of(caught(error))}
    assert {name: failure[name] for name in expected} == expected


def test_causes_are_kept_five_deep_and_a_chain_that_contains_itself_ends() -> None:
    error = ValueError("0")
    error.__cause__ = error
    failure, depth = failure_of(error), 0
    while "cause" in failure:
        failure, depth = failure["cause"], depth + 1
    assert depth == 5


def test_a54_message_and_stack_are_cut_to_their_limits_as_the_other_end_counts_them() -> None:
    failure = failure_of(caught(ValueError("\ud800" + "😀" * 100_000)))
    for text, most in (
        (failure["message"], limits.message_chars_max),
        (failure["stack"], limits.stack_chars_max),
    ):
        units = len(text.encode("utf-16-le")) // 2
        assert most - 2 <= units <= most


def test_details_that_json_cannot_hold_are_left_out() -> None:
    error = ValueError("x")
    error.details = {"f": len}  # type: ignore[attr-defined]
    assert "details" not in failure_of(error)


def test_the_traceback_is_the_projects_own_with_short_paths_and_notes() -> None:
    error = ValueError("x")
    if hasattr(error, "add_note"):
        error.add_note("a note")
    stack = failure_of(caught(error))["stack"]
    assert 'File "test_failure.py", line ' in stack
    assert stack.startswith("Traceback (most recent call last):\n")
    assert "a note" in stack or not hasattr(error, "add_note")


def test_task_failed_carries_what_the_task_raised_as_its_cause() -> None:
    cause: Failure = {"type": "KeyError", "message": "k", "retryable": True}
    error = TaskFailed("score#1", "score", {"type": "ValueError", "message": "no", "retryable": True, "cause": cause})
    failure = failure_of(error)
    assert failure["message"] == "'score#1' failed: ValueError: no"
    assert failure["cause"]["type"] == "ValueError"
    assert failure["cause"]["cause"]["type"] == "KeyError"
    assert "stack" not in failure["cause"]
