"""What runs a workflow's function, by whether it is sync or async."""

from __future__ import annotations

import contextvars
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._declare.registry import WorkflowDefinition
from .._program.texts import Texts
from ..ports import Core
from .body import Body
from .call import Deferred
from .run_function import run_async, run_sync

if TYPE_CHECKING:
    from .._messages.task.from_agent import Work


@dataclass(frozen=True)
class MakeBody:
    """What the function is run with. `ended` is called once, with the output's text or what it raised."""

    core: Core
    texts: Texts
    work: Work
    context: contextvars.Context
    now_ms: Callable[[], float]
    pause: Callable[[float], Deferred]
    ended: Callable[[str | None, BaseException | None], None]


def make_body(definition: WorkflowDefinition, deps: MakeBody) -> Body:
    """asyncio is imported for async workflows alone, since that takes its time."""
    if inspect.iscoroutinefunction(inspect.unwrap(definition.signature.fn)):
        from .loop_body import LoopBody, new_loop

        loop = new_loop(deps.now_ms, deps.pause)
        return LoopBody(loop, deps.context, lambda: run_async(definition, deps.work, deps.texts), deps.ended)
    from .thread_body import ThreadBody

    name = f"salt {deps.work['task']}"
    return ThreadBody(deps.core, deps.context, lambda: run_sync(definition, deps.work, deps.texts), deps.ended, name)
