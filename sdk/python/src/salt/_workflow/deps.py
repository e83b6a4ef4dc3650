"""What a piece of workflow work is given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from .._program.texts import Texts
from ..ports import Core

Frame = dict[str, Any]


class CallSite(TypedDict, total=False):
    """What the code says of one call besides its input, and whether it stands in a shielded block."""

    key: str | None
    detached: bool
    options: dict[str, Any]
    shielded: bool


@dataclass(frozen=True)
class WorkflowDeps:
    """What a piece of workflow work is given."""

    core: Core
    texts: Texts
    send: Callable[[Frame], None]
    end: Callable[[Frame], None]
    """Called once, when the work has ended, with its last frame, apart from what the program adds."""
    warn: Callable[[str], None]
    """A line for the work's log."""
