"""Edge: `main run`. Executes a workflow and its tasks in this process, in real time: what they print and how they fare
goes to stderr, the output alone to stdout."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any, NoReturn

from .._declare.registry import Registry, WorkflowDefinition
from .._program.system_core import SystemCore
from .._program.texts import text_of
from ..errors import InvalidInput
from .run import LocalDeps, LocalEnd, LocalRun
from .tasks import LocalTasks

if TYPE_CHECKING:
    from .._messages.common.outcomes import Failure
    from .._messages.task.values import Value

exit_codes = {"succeeded": 0, "stuck": 1, "usage": 2, "not_found": 3, "failed": 6, "interrupted": 130}
usage = "Usage: main run <workflow> [--input '<json>'] [--signal <name>[='<json>']]… [--quiet]"


class _Usage(Exception):
    pass


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _Usage(message)


def run_command(registry: Registry, args: list[str]) -> int:
    """Returns the exit code: 0 succeeded, 1 stuck, 2 usage, 3 no such workflow, 6 failed, 130 interrupted."""
    try:
        given = _parse(args)
        definition = registry.workflows.get(given.workflow)
        if definition is None:
            names = ", ".join(registry.workflows) or "none"
            print(f"There is no workflow '{given.workflow}'. Declared: {names}.", file=sys.stderr)
            return exit_codes["not_found"]
        text = _absent_input(definition) if given.input is None else _json("--input", given.input)
        signals = [_signal(text) for text in given.signal]
    except _Usage as error:
        print(f"{error}\n{usage}", file=sys.stderr)
        return exit_codes["usage"]
    folder = tempfile.mkdtemp(prefix="salt-run-")
    stdout = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            end, tasks = _run(registry, definition.name, {"json": text}, signals, folder, quiet=given.quiet)
        if end.output is not None:
            stdout.write(f"{text_of(tasks.texts, end.output)}\n")
        else:
            sys.stderr.write(_explain(definition.name, end))
        return exit_codes[end.kind]
    except KeyboardInterrupt:
        return exit_codes["interrupted"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    registry: Registry,
    name: str,
    input: Value,
    signals: list[tuple[str, Value]],
    folder: str,
    *,
    quiet: bool,
) -> tuple[LocalEnd, LocalTasks]:
    core = SystemCore()
    ends: list[LocalEnd] = []

    def told(end: LocalEnd) -> None:
        ends.append(end)
        core.stop()

    def tell(line: str) -> None:
        if not quiet:
            print(line, file=sys.stderr)

    tasks = LocalTasks(core, registry, lambda: tempfile.mkdtemp(prefix="work-", dir=folder), tell)
    LocalRun(LocalDeps(core, registry, tasks), name, input, signals, told).start()
    if not ends:
        core.run()
    return ends[0], tasks


def _parse(args: list[str]) -> argparse.Namespace:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("workflow", nargs="*")
    parser.add_argument("--input")
    parser.add_argument("--signal", action="append", default=[])
    parser.add_argument("--quiet", action="store_true")
    given = parser.parse_args(args)
    if len(given.workflow) != 1:
        raise _Usage("Name one workflow.")
    given.workflow = given.workflow[0]
    return given


def _json(what: str, text: str) -> str:
    try:
        json.loads(text)
    except ValueError:
        raise _Usage(f"{what} is not JSON: {text[:200]}") from None
    return text


def _signal(text: str) -> tuple[str, Value]:
    name, _, value = text.partition("=")
    if not name:
        raise _Usage(f"--signal takes name='<json>', not {text}")
    return name, {"json": _json(f"--signal {name}", value or "null")}


def _absent_input(definition: WorkflowDefinition) -> str:
    """As the API has it: null, or {} where the parameters want an object."""

    def fits(value: Any) -> bool:
        try:
            definition.signature.read_input(definition.name, value)
        except InvalidInput:
            return False
        return True

    return "null" if fits(None) or not fits({}) else "{}"


def _explain(workflow: str, end: LocalEnd) -> str:
    if end.failure is not None:
        return f"Run of '{workflow}' failed: {_failure_text(end.failure)}\n"
    keys = ", ".join(f"'{key}'" for key in end.awaiting)
    signal = next((key for key in end.awaiting if key.startswith("signal:")), None)
    name = None if signal is None else re.sub(r"#\d+$", "", signal[len("signal:") :])
    hint = "" if name is None else f"→ Give it with --signal {name}='<json>'\n"
    return f"Run of '{workflow}' waits for {keys}, to which nothing will come in this process.\n{hint}"


def _failure_text(failure: Failure) -> str:
    text = f"{failure['type']}: {failure['message']}"
    stack = failure.get("stack", "")
    own = stack if failure["message"] in stack else text
    return f"{own}\n  caused by {_failure_text(failure['cause'])}" if "cause" in failure else own
