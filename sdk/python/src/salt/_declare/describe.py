"""What `main describe` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import SaltError
from ..version import sdk_version, task_protocol
from .registry import Registry, TaskDefinition, WorkflowDefinition

if TYPE_CHECKING:
    from .._messages.common.manifest import Description, TaskType, WorkflowType
    from .._types.shape import Schema


def describe_project(registry: Registry) -> Description:
    """The description of everything declared. Raises SaltError `InvalidProject` naming the declaration that is not
    valid."""
    return {
        "protocol": task_protocol,
        "sdk": {"language": "python", "version": sdk_version},
        "workflows": [_workflow_type(one) for one in registry.workflows.values()],
        "tasks": [_task_type(one) for one in registry.tasks.values()],
    }


def _workflow_type(one: WorkflowDefinition) -> WorkflowType:
    input, output = _schemas_of(one)
    return {"name": one.name, "input": input, "output": output, **one.options}


def _task_type(one: TaskDefinition) -> TaskType:
    input, output = _schemas_of(one)
    checks = [name for name, _ in one.checks]
    described: TaskType = {
        "name": one.name,
        "input": input,
        "output": output,
        "checks": checks,
        "options": one.options,
    }
    if one.description is not None:
        described["description"] = one.description
    return described


def _schemas_of(definition: TaskDefinition | WorkflowDefinition) -> tuple[Schema, Schema]:
    try:
        return definition.signature.input_schema(), definition.signature.output_schema()
    except RecursionError as error:
        raise SaltError("InvalidProject", f"Cannot describe '{definition.name}': its types have no end.") from error
