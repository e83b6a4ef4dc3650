"""One attempt, from its input's text to the frame that ends it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from .. import limits
from .._declare.checks import result_of, result_of_error
from .._declare.registry import TaskDefinition
from .._program.texts import Texts, to_program_value
from .._values.encode import EncodeOptions
from .._values.types import FileValue
from .._workflow.body import decode_input, output_text
from ..ambient import enter, note_running
from ..errors import OutputTooLarge, ValidationError
from ..failure import failure_of
from .context import TaskContext

if TYPE_CHECKING:
    from .._messages.common.outcomes import CheckResult, Failure
    from .._messages.task.from_agent import Work
    from .._messages.task.from_program import Done, Fail, Offsets, OutputFile
    from .._messages.task.values import Value

RunUserCode = Callable[[Callable[[], Any]], Any]
"""Runs what may be interrupted."""

TaskEnd: TypeAlias = "Callable[[Offsets], Done | Fail]"
"""Makes the frame that ends an attempt, once it is known how long stdout and stderr are."""


def execute_task(
    context: TaskContext, work: Work, definition: TaskDefinition, texts: Texts, run: RunUserCode = lambda call: call()
) -> TaskEnd:
    """Executes the attempt in this thread. Never raises: whatever the function raises, SystemExit too, is its
    failure. What it has left is let go of when this returns, and may print then."""
    checks: list[CheckResult] = []
    try:
        note_running(context, True)
        return enter(context).run(_execute, context, work, definition, texts, run, checks)
    except BaseException as error:
        return _failed(work["argsId"], failure_of(_cancel_of(error, context)), checks)
    finally:
        note_running(context, False)


def _execute(
    context: TaskContext,
    work: Work,
    definition: TaskDefinition,
    texts: Texts,
    run: RunUserCode,
    checks: list[CheckResult],
) -> TaskEnd:
    signature, name = definition.signature, definition.name
    read = signature.read_input(name, decode_input(work, texts))
    returned = run(lambda: _called(context, lambda: signature.call(read, context)))
    output = signature.read_output(name, returned)
    for check_name, check in definition.checks:
        checks.append(_checked(check_name, lambda check=check: _check(check, output, read)))  # type: ignore[misc]
    _assert_none_failed(name, checks)
    return _done(context, work, output, texts, checks)


def _called(context: TaskContext, call: Callable[[], Any]) -> Any:
    value = call()
    if not inspect.iscoroutine(value):
        return value
    import asyncio

    async def main() -> Any:
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None

        def cancel() -> None:
            try:
                loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                # The loop is closed: the function has ended meanwhile.
                pass

        context.on_cancel = cancel
        if context.cancelled.is_set():
            task.cancel()
        return await value

    return asyncio.run(main())


def _check(check: Callable[..., Any], output: Any, read: dict[str, Any]) -> Any:
    """A check that takes one parameter is given the output, one that takes two the input too."""
    parameters = [
        one
        for one in inspect.signature(check).parameters.values()
        if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if len(parameters) < 2:
        return check(output)
    return check(output, next(iter(read.values()), None) if len(read) < 2 else read)


def _checked(name: str, run: Callable[[], Any]) -> CheckResult:
    try:
        answer = run()
        if inspect.iscoroutine(answer):
            import asyncio

            answer = asyncio.run(answer)
        return result_of(name, answer)
    except Exception as error:
        return result_of_error(name, error)


def _assert_none_failed(name: str, checks: list[CheckResult]) -> None:
    failed = [check for check in checks if check["result"] == "fail"]
    if failed:
        said = [f"'{one['name']}'" + (f" ({one['message']})" if "message" in one else "") for one in failed]
        raise ValidationError(f"The output of '{name}' failed its check {', '.join(said)}", {"checks": failed})


def _done(context: TaskContext, work: Work, output: Any, texts: Texts, checks: list[CheckResult]) -> TaskEnd:
    files: dict[str, OutputFile] = {}

    def on_file(file: FileValue) -> None:
        path = context.made.get(file)
        if path is not None:
            files[file.sha256] = {"path": path, "sha256": file.sha256, "bytes": file.bytes}

    text = output_text(work["name"], output, EncodeOptions(on_file=on_file, to_file=context.to_file))
    if len(files) > limits.files_max:
        raise OutputTooLarge(
            f"The output of '{work['name']}' has {len(files)} files, at most {limits.files_max} are allowed."
        )
    return _succeeded(work["argsId"], to_program_value(texts, work["folder"], text), checks, list(files.values()))


def _succeeded(args_id: str, output: Value, checks: list[CheckResult], files: list[OutputFile]) -> TaskEnd:
    def end(offsets: Offsets) -> Done:
        frame: Done = {"t": "done", "argsId": args_id, "offsets": offsets, "output": output}
        if checks:
            frame["checks"] = checks
        if files:
            frame["files"] = files
        return frame

    return end


def _failed(args_id: str, failure: Failure, checks: list[CheckResult]) -> TaskEnd:
    def end(offsets: Offsets) -> Fail:
        frame: Fail = {"t": "fail", "argsId": args_id, "offsets": offsets, "failure": failure}
        if checks:
            frame["checks"] = checks
        return frame

    return end


def _cancel_of(error: BaseException, context: TaskContext) -> BaseException:
    """An interrupted function raises in many ways; what ended it is the cancel."""
    is_cancel = type(error).__name__ in ("CancelledError", "KeyboardInterrupt")
    return context.cancel_error if context.cancel_error is not None and is_cancel else error
