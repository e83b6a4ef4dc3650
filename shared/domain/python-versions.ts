/**
 * Versions of Python and what a program says of those it needs: PEP 440's specifiers, as far as released versions of
 * CPython go (`>=3.11,<3.14`, `==3.12.*`, `!=3.12.1`, `~=3.11`).
 */
const clause = /^\s*(>=|<=|==|!=|~=|>|<)\s*(\d+(?:\.\d+)*)(\.\*)?\s*$/;
const partsOf = (version: string): number[] => version.split(".").map(Number);

/** What is not a list of such clauses fits nothing. */
export function fitsPython(version: string, requires: string): boolean {
  const asked = requires.split(",").filter((text) => text.trim() !== "");
  return /^\d+(\.\d+)*$/.test(version) && asked.every((text) => fitsClause(partsOf(version), text));
}

export const isPythonSpecifier = (text: string): boolean => text.split(",").every((one) => clause.test(one));

function fitsClause(version: readonly number[], text: string): boolean {
  const [, operator, named = "", star] = clause.exec(text) ?? [];
  const wanted = partsOf(named);
  const within = compare(version.slice(0, wanted.length), wanted) === 0;
  const order = compare(version, wanted);
  switch (operator) {
    case "==":
      return star === undefined ? order === 0 : within;
    case "!=":
      return star === undefined ? order !== 0 : !within;
    case "~=":
      return order >= 0 && compare(version.slice(0, wanted.length - 1), wanted.slice(0, -1)) === 0;
    case ">=":
      return order >= 0;
    case "<=":
      return order <= 0;
    case ">":
      return order > 0;
    case "<":
      return order < 0;
    default:
      return false;
  }
}

/** As -1, 0 or 1; what one of them does not say is 0. */
export function compare(a: readonly number[], b: readonly number[]): number {
  for (let at = 0; at < Math.max(a.length, b.length); at += 1) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  return 0;
}

/** The newest of these versions that fits, or null. */
export function newestPython(versions: readonly string[], requires: string): string | null {
  const fitting = versions.filter((version) => fitsPython(version, requires));
  return fitting.sort((a, b) => compare(partsOf(b), partsOf(a)))[0] ?? null;
}
