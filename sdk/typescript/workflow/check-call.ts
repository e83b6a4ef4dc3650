import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { nameSchema, qualifiedNameSchema, type TaskOptions, taskOptionsSchema } from "#shared/protocol/common.ts";

/** What the protocol would refuse is refused where the user's code says it. All throw SaltError `BadRequest`. */

export function assertName(what: string, name: string): void {
  refuse(`use the ${what} name ${JSON.stringify(name)}`, nameSchema.safeParse(name));
}

/** A task type or workflow, of this project or, as `project/name`, of another. */
export function assertQualifiedName(name: string): void {
  refuse(`call ${JSON.stringify(name)}`, qualifiedNameSchema.safeParse(name));
}

export function assertOptions(name: string, options: TaskOptions): void {
  refuse(`call '${name}' with these options`, optionsSchema.safeParse(options));
}

const optionsSchema = taskOptionsSchema.strict();

export function assertEmitKey(key: string): void {
  if (key.length >= 1 && key.length <= limits.callKeyCharsMax) return;
  const found = `it has ${key.length} characters, 1 to ${limits.callKeyCharsMax} are allowed`;
  throw new SaltError("BadRequest", `Cannot emit under that key: ${found}.`);
}

export function assertMilliseconds(what: string, ms: number): void {
  if (Number.isFinite(ms)) return;
  throw new SaltError("BadRequest", `Cannot ${what}: ${ms} is not a number of milliseconds.`);
}

type Parsed = ReturnType<typeof nameSchema.safeParse> | ReturnType<typeof taskOptionsSchema.safeParse>;

function refuse(what: string, parsed: Parsed): void {
  if (parsed.success) return;
  const issue = parsed.error.issues[0];
  const where = issue !== undefined && issue.path.length > 0 ? `${issue.path.join(".")}: ` : "";
  throw new SaltError("BadRequest", `Cannot ${what}: ${where}${issue?.message ?? "not valid"}.`);
}
