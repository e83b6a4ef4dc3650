import type { CheckResult } from "#shared/protocol/common.ts";
import type { Work } from "#shared/protocol/task.ts";
import type { FileValue } from "#shared/values/types.ts";
import { runWithin } from "../ambient.ts";
import { inputOf, outputOf } from "../declare/parse.ts";
import type { TaskDefinition } from "../declare/registry.ts";
import { OutputTooLarge, ValidationError } from "../failures/errors.ts";
import { failureOf } from "../failures/failure.ts";
import { type Texts, toProgramValue } from "../program/texts.ts";
import { outputText } from "../workflow/run-body.ts";
import type { WorkEnd } from "../workflow/work-end.ts";
import { runChecks } from "./run-checks.ts";
import type { TaskContext } from "./task-context.ts";

export interface TaskDeps {
  readonly texts: Texts;
  readonly context: TaskContext;
  /** Where the bytes of a file that this attempt made are, or null for a file that came with the input. */
  madeFile(file: FileValue): string | null;
  /** Why the attempt was cancelled, if it was. */
  cancelled(): Error | null;
}

/** Files that one output may bring along. */
const filesMax = 1_000;

/** Executes one attempt, from its input's text to the frame that ends it. Never throws. */
export async function executeTask(deps: TaskDeps, work: Work, definition: TaskDefinition): Promise<WorkEnd> {
  let checks: CheckResult[] = [];
  try {
    const input = await inputOf(work, definition.input, deps.texts);
    const ambient = { kind: "task", context: deps.context, argsId: work.argsId } as const;
    const returned = await runWithin(ambient, () => definition.fn(input, deps.context));
    const output = definition.output === undefined ? returned : await outputOf(work.name, definition.output, returned);
    if (definition.checks.length > 0) {
      checks = await runWithin(ambient, () => runChecks(definition, output, input));
      assertNoneFailed(work.name, checks);
    }
    return doneOf(deps, work, output, checks);
  } catch (error) {
    return {
      t: "fail",
      failure: failureOf(cancelOf(error, deps.cancelled())),
      ...(checks.length > 0 ? { checks } : {}),
    };
  }
}

function assertNoneFailed(name: string, checks: readonly CheckResult[]): void {
  const failed = checks.filter((check) => check.result === "fail");
  if (failed.length === 0) return;
  const said = failed.map((check) => `'${check.name}'${check.message === undefined ? "" : ` (${check.message})`}`);
  throw new ValidationError(`The output of '${name}' failed its check ${said.join(", ")}`, { checks: failed });
}

function doneOf(deps: TaskDeps, work: Work, output: unknown, checks: CheckResult[]): WorkEnd {
  const files = new Map<string, { path: string; sha256: FileValue["sha256"]; bytes: number }>();
  const text = outputText(work.name, output, {
    onFile(file) {
      const path = deps.madeFile(file);
      if (path !== null) files.set(file.sha256, { path, sha256: file.sha256, bytes: file.bytes });
    },
  });
  if (files.size > filesMax) {
    throw new OutputTooLarge(`The output of '${work.name}' has ${files.size} files, at most ${filesMax} are allowed.`);
  }
  return {
    t: "done",
    output: toProgramValue(deps.texts, work.folder, text),
    ...(checks.length > 0 ? { checks } : {}),
    ...(files.size > 0 ? { files: [...files.values()] } : {}),
  };
}

/** An interrupted function throws in many ways; what ended it is the cancel. */
function cancelOf(error: unknown, cancelled: Error | null): unknown {
  if (cancelled === null) return error;
  return error instanceof Error && error.name === "AbortError" ? cancelled : error;
}
