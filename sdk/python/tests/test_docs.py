"""docs/python.md: its code runs, its output is what comes out, and it names everything that a project can import."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import salt

page = (Path(__file__).parents[3] / "docs" / "python.md").read_text()
blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)


def test_the_first_example_does_what_the_page_says(tmp_path: Path) -> None:
    shown = re.search(r"```\n\$ python order\.py (run order --input) '(.*)'\n(.*)\n```", page)
    assert shown is not None
    (tmp_path / "order.py").write_text(blocks[0])
    command = [sys.executable, "order.py", *shown[1].split(), shown[2]]
    end = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert end.stdout == f"{shown[3]}\n", end.stderr


def test_a_module_that_does_not_call_main_is_a_program_by_python_m_salt(tmp_path: Path) -> None:
    (tmp_path / "order.py").write_text(blocks[0].split("if __name__")[0])
    command = [sys.executable, "-m", "salt", "order", "run", "order", "--input", "[]"]
    end = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert end.stdout == '{"$salt":"decimal","v":"0"}\n', end.stderr


def test_all_of_its_code_is_one_project_that_can_be_described(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    code = "\n".join(blocks[1:])
    (tmp_path / "all.py").write_text(f"import salt\n{code}\nif __name__ == '__main__':\n    salt.main()\n")
    command = [sys.executable, "all.py", "describe"]
    end = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert end.returncode == 0, end.stderr
    for arguments in (["measure", "--input", '"x"'], ["approve_sync", "--input", '["a","b"]']):
        command = [sys.executable, "all.py", "run", *arguments, "--quiet"]
        end = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
        assert end.returncode == 0, end.stderr


def test_it_names_everything_that_can_be_imported_and_nothing_else() -> None:
    named = set(re.findall(r"\bsalt\.(?!yaml\b)([A-Za-z_]\w*)", page))
    public = {name for name in salt.__all__ if name != "__version__"}
    assert public - named == set()
    assert named - public == set()
