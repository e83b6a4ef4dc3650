"""Errors that the SDK raises, and those that a project raises to say how a task is to go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from ._messages.common.outcomes import Failure


class SaltError(Exception):
    """An operating error. The message says what was attempted and what is the case, `next` what to do.

    `code` is one of the codes of docs/errors.md; `retryable` says whether the same may succeed later, unchanged.
    """

    def __init__(
        self, code: str, message: str, *, next: str | None = None, retryable: bool = False, details: Any = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.next = next
        self.retryable = retryable
        self.details = details

    def __str__(self) -> str:
        message = super().__str__()
        return message if self.next is None else f"{message} {self.next}"


class UnencodableValue(SaltError):
    """A value that has no encoding. `path` is where in the value, such as `$.orders[3].when`."""

    def __init__(self, path: str, what: str, next: str | None = None) -> None:
        super().__init__(
            "InvalidInput", f"Cannot encode the value at {path}: {what}.", next=next, details={"path": path}
        )
        self.path = path


class UndecodableValue(SaltError):
    """A text that is not the encoding of a value. `path` is where in the value."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__("InvalidInput", f"Cannot decode the value at {path}: {what}.", details={"path": path})
        self.path = path


class NotRetryable(Exception):
    """What is common to errors after which no further attempt is made."""

    retryable = False
    details: Any = None


class NonRetryableError(NotRetryable):
    """Raised by a task, it fails the task at once: no further attempt is made, whatever `retry` says.

    A class of a project's own that derives from it keeps its name in the journal.
    """


def fatal(message: str) -> NoReturn:
    """Raises NonRetryableError: the task fails at once."""
    raise NonRetryableError(message)


class RemoteError(Exception):
    """An error as it came out of another program: `type` is the class that it had there, `stack` its traceback there.

    Its `__cause__` is what caused it there.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure["message"])
        self.type = failure["type"]
        self.message = failure["message"]
        self.retryable = failure.get("retryable", True)
        self.stack = failure.get("stack")
        self.details: Any = failure.get("details")
        cause = failure.get("cause")
        if cause is not None:
            self.__cause__ = RemoteError(cause)


class TaskFailed(Exception):
    """A task or child workflow that was called failed for good. `__cause__` is the error as its program raised it.

    `key` is the call's key, `task` what was called, `failure` all that the journal says: `failure["type"]` is the class
    of the error.
    """

    retryable = True

    def __init__(self, key: str, task: str, failure: Failure) -> None:
        super().__init__(f"'{key}' failed: {failure['type']}: {failure['message']}")
        self.key = key
        self.task = task
        self.failure = failure
        self.__cause__ = RemoteError(failure)


class CancelledError(BaseException):
    """The run, or the attempt, was cancelled; `reason` says why.

    A BaseException, as asyncio's is, so that `except Exception` does not take it for a failure. Clean up and let it
    pass.
    """

    retryable = False

    def __init__(self, reason: str, what: str = "The run was cancelled") -> None:
        super().__init__(f"{what}: {reason}")
        self.reason = reason


class TimedOut(Exception):
    """A wait for a signal or an event outlasted its `timeout`. `key` is the key of the wait."""

    def __init__(self, key: str, message: str | None = None) -> None:
        super().__init__(message or f"'{key}' timed out")
        self.key = key


class ValidationError(Exception):
    """A value is not what its type or its checks ask for. `details` lists the complaints, each with its path."""

    def __init__(self, message: str, details: Any, retryable: bool = True) -> None:
        super().__init__(message)
        self.details = details
        self.retryable = retryable


class InvalidInput(NotRetryable):
    """The input of a task or workflow is not what its parameters ask for. Never retried."""

    def __init__(self, message: str, details: Any = None) -> None:
        super().__init__(message)
        self.details = details


class NonDeterministicWorkflow(NotRetryable):
    """The code and the journal contradict each other; `details` holds both sides. The run fails."""

    def __init__(self, message: str, details: Any) -> None:
        super().__init__(message)
        self.details = details


class DuplicateCallKey(NotRetryable):
    """Two calls of one run have the same key."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"Cannot call under the key '{key}': this run already has a call with it. Give each call its own key."
        )
        self.key = key


class JournalTooLong(NotRetryable):
    """A run has made as many calls as one journal may hold: 50,000."""


class WrongPlace(NotRetryable):
    """Something was used where it has no meaning, such as `sleep` in a task."""


class OutputTooLarge(NotRetryable):
    """An output is larger than a value may be: 64 MiB. Never retried."""


class UnknownTaskType(NotRetryable):
    """The release has no task type or workflow of that name."""
