import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { type Manifest, manifestSchema } from "#shared/protocol/manifest.ts";
import { compileSchema, findIssues, firstIssue, standIns } from "./check-input.ts";

/**
 * A manifest that can be registered: of the right form, within its bound, each name once, schemas that compile, triggers
 * that name its workflows and whose input those accept. `InvalidManifest` names each thing that is not so.
 */
export function checkManifest(given: unknown): Manifest {
  const parsed = manifestSchema.safeParse(given);
  if (!parsed.success) {
    const issues = parsed.error.issues.slice(0, 20).map((issue) => ({
      path: issue.path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join(""),
      message: issue.message,
    }));
    throw refuse(`at '${issues[0]?.path}': ${issues[0]?.message}`, { issues });
  }
  const manifest = parsed.data;
  const bytes = Buffer.byteLength(JSON.stringify(manifest));
  if (bytes > limits.manifestBytesMax) {
    throw new SaltError(
      "TooLarge",
      `Cannot register the release: its manifest has ${bytes} bytes, at most ${limits.manifestBytesMax} (manifestBytesMax) are allowed.`,
    );
  }
  checkNames(manifest);
  for (const type of manifest.description.tasks) {
    compileSchema(type.input, `the input of task type '${type.name}'`);
    compileSchema(type.output, `the output of task type '${type.name}'`);
  }
  for (const type of manifest.description.workflows) {
    const input = compileSchema(type.input, `the input of workflow '${type.name}'`);
    compileSchema(type.output, `the output of workflow '${type.name}'`);
    for (const trigger of manifest.triggers) {
      if (trigger.workflow !== type.name || trigger.kind !== "cron") continue;
      const given = trigger.input === undefined ? standIns(type.input) : [trigger.input];
      const issues = findIssues(input, given.find((value) => findIssues(input, value).length === 0) ?? given.at(-1));
      if (issues.length > 0) {
        const why = `is not what workflow '${type.name}' takes, ${firstIssue(issues)}`;
        throw refuse(`the input of trigger '${trigger.name}' ${why}`, { issues });
      }
    }
  }
  return manifest;
}

function checkNames(manifest: Manifest): void {
  const { workflows, tasks } = manifest.description;
  requireUnique(workflows, "workflow");
  requireUnique(tasks, "task type");
  requireUnique(manifest.triggers, "trigger");
  if (Object.keys(manifest.binaries).length === 0) throw refuse("it has no binary");
  for (const trigger of manifest.triggers) {
    if (workflows.some(({ name }) => name === trigger.workflow)) continue;
    throw refuse(`trigger '${trigger.name}' names the workflow '${trigger.workflow}', which the release does not have`);
  }
}

function requireUnique(named: readonly { readonly name: string }[], what: string): void {
  const seen = new Set<string>();
  for (const { name } of named) {
    if (seen.has(name)) throw refuse(`it has two of the ${what} '${name}'`);
    seen.add(name);
  }
}

const refuse = (why: string, details?: unknown): SaltError =>
  new SaltError("InvalidManifest", `Cannot register the release: ${why}.`, {
    next: "Correct salt.yaml or the code, then build and register again.",
    ...(details === undefined ? {} : { details }),
  });
