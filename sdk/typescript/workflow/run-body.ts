import { limits } from "#shared/domain/limits.ts";
import type { Work } from "#shared/protocol/task.ts";
import { encodeValue } from "#shared/values/encode-value.ts";
import { inputOf, outputOf } from "../declare/parse.ts";
import type { WorkflowDefinition } from "../declare/registry.ts";
import { OutputTooLarge } from "../failures/errors.ts";
import { oversize, type Texts } from "../program/texts.ts";
import { resolveRefs } from "./resolve-refs.ts";

/** Unwinds a workflow that goes on as a new run. It is no failure, and need not be caught. */
export class RestartRequested extends Error {
  override name = "RestartRequested";
  constructor() {
    super("restart(input) ends the workflow: let this pass");
  }
}

/** Runs a workflow's function from its input's text to its output's text. */
export async function runBody(definition: WorkflowDefinition, work: Work, texts: Texts): Promise<string> {
  const input = await inputOf(work, definition.input, texts);
  const returned = await resolveRefs(await definition.fn(input));
  return outputText(work.name, await outputOf(work.name, definition.output, returned));
}

/** Throws UnencodableValue or OutputTooLarge. */
export function outputText(name: string, output: unknown, options: Parameters<typeof encodeValue>[1] = {}): string {
  const text = encodeValue(output, options);
  const bytes = oversize(text);
  if (bytes === null) return text;
  throw new OutputTooLarge(
    `The output of '${name}' has ${bytes} bytes, at most ${limits.valueBytesMax} (valueBytesMax) are allowed. ` +
      "Return it as a file.",
  );
}
