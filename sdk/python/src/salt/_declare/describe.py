"""What `main describe` prints."""

from __future__ import annotations

from typing import Any

from ..errors import SaltError
from ..version import sdk_version, task_protocol
from .registry import Registry, TaskDefinition, WorkflowDefinition


def describe_project(registry: Registry) -> dict[str, Any]:
    """The description of everything declared. Raises SaltError `InvalidProject` naming the declaration that is not
    valid."""
    return {
        "protocol": task_protocol,
        "sdk": {"language": "python", "version": sdk_version},
        "workflows": [{**_head(one), **one.options} for one in registry.workflows.values()],
        "tasks": [
            {**_head(one), "checks": [name for name, _ in one.checks], "options": one.options}
            for one in registry.tasks.values()
        ],
    }


def _head(definition: TaskDefinition | WorkflowDefinition) -> dict[str, Any]:
    head: dict[str, Any] = {"name": definition.name}
    if definition.description is not None:
        head["description"] = definition.description
    try:
        head["input"] = definition.signature.input_schema()
        head["output"] = definition.signature.output_schema()
    except RecursionError as error:
        raise SaltError("InvalidProject", f"Cannot describe '{definition.name}': its types have no end.") from error
    return head
