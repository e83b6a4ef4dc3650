"""A workflow's function, from its input's text to its output's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._declare.registry import WorkflowDefinition
from .._program.texts import Texts
from ..errors import CancelledError
from .body import decode_input, output_text
from .ref import gather
from .resolve_refs import refs_in, replace_refs

if TYPE_CHECKING:
    from .._messages.task.from_agent import Work


async def run_async(definition: WorkflowDefinition, work: Work, texts: Texts) -> str:
    """Of an async function. Refs in what it returns are awaited."""
    signature, name = definition.signature, definition.name
    returned = await signature.call(signature.read_input(name, decode_input(work, texts)))
    refs = refs_in(returned)
    if refs:
        outputs = await gather(*refs)
        returned = replace_refs(returned, dict(zip(map(id, refs), outputs, strict=True)))
    return output_text(name, signature.read_output(name, returned))


def run_sync(definition: WorkflowDefinition, work: Work, texts: Texts) -> str:
    """Of a sync function, in the run's own thread. Refs in what it returns are awaited."""
    signature, name = definition.signature, definition.name
    returned = signature.call(signature.read_input(name, decode_input(work, texts)))
    refs = refs_in(returned)
    if refs:
        outputs = gather(*refs).result()
        returned = replace_refs(returned, dict(zip(map(id, refs), outputs, strict=True)))
    return output_text(name, signature.read_output(name, returned))


def only_cancel(error: BaseException) -> BaseException:
    """The cancel itself, out of the group that a TaskGroup makes of it."""
    inner = getattr(error, "exceptions", None)
    if inner and all(isinstance(only_cancel(one), CancelledError) for one in inner):
        return only_cancel(inner[0])
    return error
