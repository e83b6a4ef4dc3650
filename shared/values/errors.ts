import { SaltError } from "../domain/errors.ts";

/** A place within a value: object keys, array positions, and `<n>` for the n-th pair of a map or member of a set. */
export type Path = { readonly parent: Path; readonly step: string | number } | null;

const plainKey = /^[A-Za-z_$][A-Za-z0-9_$]*$/;

/** `$.orders[3]["first name"]`, where `$` is the whole value. */
export function pathText(path: Path): string {
  if (path === null) return "$";
  const { step } = path;
  if (typeof step === "number") return `${pathText(path.parent)}[${step}]`;
  if (step.startsWith("<")) return `${pathText(path.parent)}${step}`;
  return `${pathText(path.parent)}${plainKey.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`}`;
}

/** A value that has no encoding. `path` is where in the value. */
export class UnencodableValue extends SaltError {
  readonly path: string;
  constructor(path: Path, what: string, next: string) {
    const where = pathText(path);
    super("InvalidInput", `Cannot encode the value at ${where}: ${what}.`, { next, details: { path: where } });
    this.name = "UnencodableValue";
    this.path = where;
  }
}

/** A text that is not the encoding of a value. `path` is where in the value. */
export class UndecodableValue extends SaltError {
  readonly path: string;
  constructor(path: Path, what: string, cause?: unknown) {
    const where = pathText(path);
    super("InvalidInput", `Cannot decode the value at ${where}: ${what}.`, { cause, details: { path: where } });
    this.name = "UndecodableValue";
    this.path = where;
  }
}
