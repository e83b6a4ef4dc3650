import { randomUUID } from "node:crypto";
import { SaltError } from "#shared/domain/errors.ts";
import { type Description, descriptionSchema } from "#shared/protocol/manifest.ts";
import { runProcess } from "../run-process.ts";
import { importFailure } from "./import-failure.ts";

const describeTimeoutMs = 30_000;

export interface Described {
  readonly description: Description;
  /** What the program wrote to stdout beside it. */
  readonly printed: string;
}

export interface DescribeOptions {
  /** Default: this process's. */
  readonly env?: NodeJS.ProcessEnv;
  /** What the language's error text at import means, null where that cannot be told. Default: as Node writes it. */
  readonly importFailure?: (stderr: string) => Promise<Error | null>;
}

/**
 * Asks a program for its manifest by executing `<command> describe`, once. `BuildFailed` with what it printed instead.
 *
 * What the project's modules print when they are imported comes before the description, on the same stdout: a mark that
 * nobody else knows says where that begins.
 */
export async function describeProgram(
  command: readonly string[],
  folder: string,
  options: DescribeOptions = {},
): Promise<Described> {
  const ofNode = (stderr: string) => importFailure(stderr, command.at(-1) ?? "", folder);
  const mark = `salt-describe-${randomUUID()} `;
  const env = { ...(options.env ?? process.env), SALT_DESCRIBE_MARK: mark };
  const end = await runProcess([...command, "describe"], { cwd: folder, timeoutMs: describeTimeoutMs, env });
  if (end.timedOut) {
    throw new SaltError(
      "BuildFailed",
      `Cannot describe the program: 'main describe' took longer than ${describeTimeoutMs / 1000} s.`,
      {
        next: "move work that begins at import (connections, servers, loops) into tasks",
      },
    );
  }
  const { text, printed } = splitAt(end.stdout, mark);
  // 13 is Node's, where the entry awaits at its top level what never comes; a program that is one file ends with 0 then.
  if (end.status === 13 || (end.status === 0 && text.trim() === "")) {
    const said = printed.trim() === "" ? "." : `, and had printed:\n${indent(printed)}`;
    throw new SaltError(
      "BuildFailed",
      `Cannot describe the program: it ended before it was imported as a whole${said}`,
      {
        next: "move what exits, or awaits what never comes, at the top level of the entry and its imports into tasks",
      },
    );
  }
  if (end.status !== 0) {
    const told = await (options.importFailure ?? ofNode)(end.stderr);
    if (told !== null) throw told;
    const how = end.signal === null ? `status ${end.status}` : end.signal;
    throw new SaltError(
      "BuildFailed",
      `Cannot describe the program: 'main describe' ended with ${how}:\n${indent(end.stderr)}`,
      {
        next: "make the entry importable: what it does at import fails",
      },
    );
  }
  return { description: parseDescription(text), printed };
}

/** The line after the mark, and all the rest. A program that knows of no mark prints the description alone. */
function splitAt(stdout: string, mark: string): { readonly text: string; readonly printed: string } {
  const at = stdout.indexOf(`\n${mark}`);
  if (at < 0) return stdout.startsWith("{") ? { text: stdout, printed: "" } : { text: "", printed: stdout };
  const end = stdout.indexOf("\n", at + 1);
  return { text: stdout.slice(at + 1 + mark.length, end), printed: stdout.slice(0, at) + stdout.slice(end + 1) };
}

function parseDescription(text: string): Description {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new SaltError(
      "BuildFailed",
      `Cannot describe the program: 'main describe' printed other text than its manifest:\n${indent(text)}`,
      {
        next: "print nothing to stdout at import",
      },
    );
  }
  const parsed = descriptionSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const why = parsed.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("\n");
  throw new SaltError("BuildFailed", `Cannot describe the program: its manifest is not valid:\n${indent(why)}`);
}

/** The end of a text, for people. */
export const indent = (text: string): string =>
  text
    .trimEnd()
    .split("\n")
    .slice(-30)
    .map((line) => `  ${line}`)
    .join("\n");
