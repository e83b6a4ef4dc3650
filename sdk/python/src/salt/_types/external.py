"""Types of packages that a project may have: Pydantic models, NumPy arrays, pandas and Arrow tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .._values.types import FileValue
from ..ambient import running_task
from .shape import BAD, Complaints, Definitions, Schema, Shape, kind_of, tagged

npy_type = "application/x-npy"
arrow_type = "application/vnd.apache.arrow.file"


@dataclass
class PydanticModel(Shape):
    """A Pydantic v2 model, or a dataclass of Pydantic's: validated by Pydantic itself."""

    cls: Any

    @cached_property
    def _adapter(self) -> Any:
        from pydantic import TypeAdapter

        return TypeAdapter(self.cls)

    def schema(self, definitions: Definitions) -> Schema:
        schema = self._adapter.json_schema(mode="validation", ref_template="#/$defs/{model}")
        definitions.schemas.update(schema.pop("$defs", {}))
        loose: Schema = _with_tagged(schema)
        for name, inner in list(definitions.schemas.items()):
            definitions.schemas[name] = _with_tagged(inner)
        return loose

    def read(self, value: Any, complaints: Complaints) -> Any:
        from pydantic import ValidationError

        if isinstance(value, self.cls):
            return value
        try:
            return self._adapter.validate_python(value, from_attributes=False)
        except ValidationError as error:
            for one in error.errors(include_url=False, include_context=False, include_input=False):
                complaints.steps.extend(one["loc"])
                complaints.add(one["msg"])
                del complaints.steps[len(complaints.steps) - len(one["loc"]) :]
            return BAD

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, self.cls)


_formats = {
    "date-time": tagged("date", {"type": "string", "format": "date-time"}),
    "uuid": tagged("uuid", {"type": "string"}),
    "duration": tagged("duration", {"type": "string"}),
    "binary": tagged("bytes", {"type": "string"}),
    "base64url": tagged("bytes", {"type": "string"}),
}


def _with_tagged(schema: Any) -> Any:
    """Pydantic's schema, in which what Salt has tags for may come in its tagged form too."""
    if isinstance(schema, list):
        return [_with_tagged(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    loose = {key: _with_tagged(value) for key, value in schema.items()}
    if loose.get("type") == "array" and loose.get("uniqueItems"):
        return {"anyOf": [tagged("set", {"type": "array"}), loose]}
    form = _formats.get(str(loose.get("format"))) if loose.get("type") == "string" else None
    return loose if form is None else {"anyOf": [form, loose]}


@dataclass(frozen=True)
class FileKind:
    """How values of a package's class become a file, and are read from one."""

    media_type: str
    suffix: str
    save: Callable[[Any, Path], None]
    load: Callable[[Path, type], Any]


def _save_npy(value: Any, path: Path) -> None:
    import numpy

    with path.open("wb") as file:
        numpy.save(file, value, allow_pickle=False)


def _load_npy(path: Path, cls: type) -> Any:
    import numpy

    return numpy.load(path, allow_pickle=False)


def _save_arrow(value: Any, path: Path) -> None:
    import pyarrow

    table = _to_table(value)
    with pyarrow.OSFile(str(path), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _to_table(value: Any) -> Any:
    import pyarrow

    if isinstance(value, pyarrow.Table):
        return value
    if isinstance(value, pyarrow.RecordBatch):
        return pyarrow.Table.from_batches([value])
    frame = value.to_frame(value.name if value.name is not None else 0) if type(value).__name__ == "Series" else value
    return pyarrow.Table.from_pandas(frame)


def _load_arrow(path: Path, cls: type) -> Any:
    import pyarrow

    with pyarrow.OSFile(str(path), "rb") as file, pyarrow.ipc.open_file(file) as reader:
        table = reader.read_all()
    if cls.__module__.startswith("pyarrow"):
        return table if cls.__name__ == "Table" else table.combine_chunks().to_batches()[0]
    frame = table.to_pandas()
    return frame.iloc[:, 0] if cls.__name__ == "Series" else frame


_npy = FileKind(npy_type, ".npy", _save_npy, _load_npy)
_arrow = FileKind(arrow_type, ".arrow", _save_arrow, _load_arrow)

_kinds = {
    ("numpy", "ndarray"): _npy,
    ("pandas", "DataFrame"): _arrow,
    ("pandas", "Series"): _arrow,
    ("pyarrow", "Table"): _arrow,
    ("pyarrow", "RecordBatch"): _arrow,
}


def file_kind_of(cls: type) -> FileKind | None:
    """How values of that class travel as a file, or None when they do not."""
    return _kinds.get((cls.__module__.partition(".")[0], cls.__name__))


@dataclass
class Table(Shape):
    """An array or a table, which travels as a file in a standard format: npy, or Arrow IPC."""

    cls: type
    kind: FileKind

    def schema(self, definitions: Definitions) -> Schema:
        about = {"mediaType": {"const": self.kind.media_type}}
        return tagged("file", {"type": "object", "properties": about, "required": ["sha256", "bytes"]})

    def read(self, value: Any, complaints: Complaints) -> Any:
        if isinstance(value, self.cls):
            return value
        if not isinstance(value, FileValue):
            return complaints.add(f"expected a file with a {self.cls.__name__}, not {kind_of(value)}")
        context = running_task()
        if context is None:
            return complaints.add(f"a workflow does not open files: pass the {self.cls.__name__} on to a task")
        try:
            return self.kind.load(context.path_of(value), self.cls)
        except (ValueError, OSError, ImportError) as error:
            return complaints.add(f"the file cannot be read as a {self.cls.__name__}: {error}")

    def is_exact(self, value: Any) -> bool:
        return isinstance(value, self.cls)

    def wants_files(self) -> bool:
        return True


__all__ = ["FileKind", "PydanticModel", "Table", "file_kind_of"]
