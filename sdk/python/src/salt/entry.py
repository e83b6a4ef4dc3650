"""The program that a project is built into."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ._declare.registry import declared
from .errors import SaltError

usage = """Usage:
  main describe                           print what this program declares, as JSON
  main run <workflow> [--input '<json>']  run a workflow in this process, without Salt
  main [--input <args-id>]                execute work for a Salt agent (needs SALT_SOCKET and SALT_SESSION)
"""

_lonely_ms = 10 * 60_000


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Call it at the end of the project's entry module, when all of the project's modules are imported.

    `argv`: the arguments without the program's name, default those of the command line. Exits with 0 ok, 1 failure,
    2 usage, 3 no such workflow, 6 the run failed.
    """
    try:
        code = _main(list(sys.argv[1:] if argv is None else argv))
    except SaltError as error:
        text = error.args[0] if error.next is None else f"{error.args[0]}\n→ {error.next}"
        print(text, file=sys.stderr)
        code = 1
    sys.exit(code)


def _main(args: list[str]) -> int:
    command, rest = (args[0], args[1:]) if args else (None, [])
    if command == "describe":
        return _print_description()
    if command == "run":
        from ._local.command import run_command

        return run_command(declared, rest)
    if command is None:
        return _serve(None)
    if command == "--input":
        if len(rest) != 1:
            raise SaltError("BadRequest", "Cannot execute work: --input takes one args-id.")
        return _serve(rest[0])
    print(f"Unknown command '{command}'.\n{usage}", file=sys.stderr)
    return 2


def _print_description() -> int:
    """After the mark that it is asked to give, on a line of its own, the description is found among what else is
    printed."""
    from ._declare.describe import describe_project

    mark = os.environ.get("SALT_DESCRIBE_MARK", "")
    text = json.dumps(describe_project(declared), ensure_ascii=False, separators=(",", ":"))
    sys.stdout.write(f"\n{mark}{text}\n" if mark else f"{text}\n")
    return 0


def _take_setting(name: str) -> str:
    value = os.environ.pop(name, "")
    if value:
        return value
    raise SaltError(
        "BadRequest",
        f"Cannot wait for work: {name} is not set.",
        next="A Salt agent sets it. To run a workflow without Salt: main run <workflow> --input '<json>'",
    )


def _serve(args_id: str | None) -> int:
    import faulthandler

    from ._program.serve import Serving

    if "SALT_FORK_SOCKET" in os.environ:
        from ._program.fork_server import serve_forks

        serve_forks(_take_setting("SALT_FORK_SOCKET"), _take_setting("SALT_FORK_SESSION"))
    # What ends the process by a signal leaves its traceback in the log.
    faulthandler.enable()
    try:
        lease_ttl_ms = float(os.environ.get("SALT_LEASE_TTL_MS", "0"))
    except ValueError:
        lease_ttl_ms = 0
    return Serving(
        declared,
        socket=_take_setting("SALT_SOCKET"),
        session=_take_setting("SALT_SESSION"),
        args_id=args_id,
        lonely_ms=max(_lonely_ms, lease_ttl_ms),
    ).run()
