"""Salt's SDK for Python: workflows as durable code, over task types that agents execute.

import salt

@salt.task
def score(text: str) -> int:
    return len(text)

@salt.workflow
def total(texts: list[str]) -> int:
    return sum(salt.gather(*(score(text) for text in texts)).result())

if __name__ == "__main__":
    salt.main()
"""

from ._declare.checks import CheckFinding, check
from ._declare.options import Limit, Retry, Seconds
from ._declare.task import Task, task
from ._declare.workflow import Workflow, workflow
from ._task.context import TaskContext
from ._values.types import BigInt, FileValue, Map
from ._workflow.ref import Ref, first, gather, pass_on
from .ambient import shielded
from .api import (
    call,
    context,
    emit,
    file,
    now,
    path_of,
    progress,
    random,
    restart,
    sleep,
    sleep_until,
    uuid,
    wait_for_event,
    wait_for_signal,
)
from .entry import main
from .errors import (
    CancelledError,
    DuplicateCallKey,
    InvalidInput,
    JournalTooLong,
    NonDeterministicWorkflow,
    NonRetryableError,
    RemoteError,
    SaltError,
    TaskFailed,
    TimedOut,
    UnencodableValue,
    ValidationError,
    WrongPlace,
    fatal,
)
from .version import sdk_version as __version__

__all__ = [
    "BigInt",
    "CancelledError",
    "CheckFinding",
    "DuplicateCallKey",
    "FileValue",
    "InvalidInput",
    "JournalTooLong",
    "Limit",
    "Map",
    "NonDeterministicWorkflow",
    "NonRetryableError",
    "Ref",
    "RemoteError",
    "Retry",
    "SaltError",
    "Seconds",
    "Task",
    "TaskContext",
    "TaskFailed",
    "TimedOut",
    "UnencodableValue",
    "ValidationError",
    "Workflow",
    "WrongPlace",
    "__version__",
    "call",
    "check",
    "context",
    "emit",
    "fatal",
    "file",
    "first",
    "gather",
    "main",
    "now",
    "pass_on",
    "path_of",
    "progress",
    "random",
    "restart",
    "shielded",
    "sleep",
    "sleep_until",
    "task",
    "uuid",
    "wait_for_event",
    "wait_for_signal",
    "workflow",
]
