"""Arrays and tables leave a task as files in a standard format, and arrive as what the next one asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import salt
from salt._declare.registry import declared
from salt._messages.task.from_agent import Work
from salt._messages.task.from_program import Emit, Progress
from salt._program.texts import TextsOnDisk
from salt._task.context import TaskContext
from salt._task.execute import execute_task

np = pytest.importorskip("numpy")
pd = pytest.importorskip("pandas")
pa = pytest.importorskip("pyarrow")


@dataclass
class Batch:
    name: str
    x: np.ndarray  # type: ignore[name-defined]
    table: pd.DataFrame | None = None  # type: ignore[name-defined]


@salt.task
def t_array(n: int) -> np.ndarray:  # type: ignore[name-defined]
    return np.arange(n, dtype="float32").reshape(2, -1)


@salt.task
def t_batch(n: int) -> Batch:
    return Batch("b", np.arange(n), pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}))


@salt.task
def t_unannotated(n: Any) -> Any:
    return {"series": pd.Series([1.5, 2.5], name="s"), "arrow": pa.table({"a": [n]}), "scalar": np.float64(0.5)}


@salt.task
def t_sum(x: np.ndarray) -> float:  # type: ignore[name-defined]
    return float(x.sum())


@salt.task
def t_read(batch: Batch) -> list[Any]:
    assert batch.table is not None
    return [type(batch.x).__name__, batch.x.tolist(), list(batch.table.columns), batch.table["b"].tolist()]


@salt.task
def t_kinds(series: pd.Series, arrow: pa.Table, scalar: float) -> list[Any]:  # type: ignore[name-defined]
    return [series.tolist(), arrow.column("a").to_pylist(), scalar]


class Host:
    """Keeps files by digest, as a store would."""

    texts = TextsOnDisk()

    def __init__(self) -> None:
        self.files: dict[str, str] = {}

    def say(self, frame: Progress | Emit) -> None: ...

    def fetch(self, args_id: str, file: salt.FileValue) -> str:
        return self.files[file.sha256]


def execute(host: Host, folder: Path, name: str, text: str) -> Any:
    work_folder = folder / name
    work_folder.mkdir()
    work: Work = {
        "t": "work",
        "argsId": "a",
        "kind": "task",
        "name": name,
        "task": "t",
        "attempt": 1,
        "input": {"json": text},
        "folder": str(work_folder),
    }
    end = execute_task(TaskContext(host, work), work, declared.tasks[name], host.texts)({"stdout": 0, "stderr": 0})
    if end["t"] == "done":
        host.files.update({file["sha256"]: file["path"] for file in end.get("files", ())})
    return end


@pytest.mark.parametrize(
    ("makes", "takes", "output"),
    [
        ("t_array", "t_sum", "15"),
        ("t_batch", "t_read", '["ndarray",[0,1,2,3,4,5],["a","b"],["x","y"]]'),
        ("t_unannotated", "t_kinds", "[[1.5,2.5],[6],0.5]"),
    ],
)
def test_from_task_to_task(tmp_path: Path, makes: str, takes: str, output: str) -> None:
    host = Host()
    made = execute(host, tmp_path, makes, "6")
    assert made["t"] == "done", made
    assert made["files"]
    taken = execute(host, tmp_path, takes, made["output"]["json"])
    assert taken["output"] == {"json": output}, taken


def test_a_file_of_another_kind_is_refused_with_its_place(tmp_path: Path) -> None:
    host = Host()
    (tmp_path / "x").write_text("no array")
    host.files["a" * 64] = str(tmp_path / "x")
    end = execute(host, tmp_path, "t_sum", '{"$salt":"file","v":{"sha256":"' + "a" * 64 + '","bytes":8}}')
    assert end["failure"]["type"] == "InvalidInput"
    assert "$: the file cannot be read as a ndarray" in end["failure"]["message"]


def test_objects_in_an_array_are_refused(tmp_path: Path) -> None:
    @salt.task
    def t_objects() -> Any:
        return np.array([object()])

    end = execute(Host(), tmp_path, "t_objects", "null")
    assert end["failure"]["type"] == "UnencodableValue"


def test_schemas_say_what_kind_of_file_it_is() -> None:
    schema = declared.tasks["t_array"].signature.output_schema()
    assert isinstance(schema, dict)
    assert schema["properties"]["v"]["properties"]["mediaType"] == {"const": "application/x-npy"}
