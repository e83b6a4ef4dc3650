"""What a piece of workflow work is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from .._program.texts import Texts
from ..ports import Core

if TYPE_CHECKING:
    from .._messages.common.options import TaskOptions
    from .._messages.task.from_agent import Accepted, Resume, Settled, Values
    from .._messages.task.from_program import Await, Calls, Done, Fail, Offsets, Park, Restart

FrameToWorkflow: TypeAlias = "Settled | Values | Accepted | Resume"
"""What an agent says to a workflow that is under way."""

FrameOfWorkflow: TypeAlias = "Calls | Await | Park"
"""What a workflow that is under way says."""

WorkEnd: TypeAlias = "Done | Restart | Fail"
"""What ends it."""


class CallSite(TypedDict, total=False):
    """What the code says of one call besides its input, and whether it stands in a shielded block."""

    key: str | None
    detached: bool
    options: TaskOptions
    shielded: bool


@dataclass(frozen=True)
class WorkflowDeps:
    """What a piece of workflow work is given."""

    core: Core
    texts: Texts
    send: Callable[[FrameOfWorkflow], None]
    end: Callable[[WorkEnd], None]
    """Called once, when the work has ended, with its last frame."""
    offsets: Callable[[], Offsets]
    """How long stdout and stderr are now."""
    warn: Callable[[str], None]
    """A line for the work's log."""
