import type { ModuleModel, TypeModel } from "./model.ts";
import { pythonModuleName } from "./names.ts";
import { modulesNamed } from "./order-types.ts";

interface Import {
  readonly from: string;
  /** `Name`, or `Name as Other`. */
  readonly names: readonly string[];
}

/** The lines by which a module imports what it names of some modules, in the order that import sorters want. */
export function pythonImports(
  module: ModuleModel,
  names: ReadonlyMap<TypeModel, string>,
  wanted: (named: ModuleModel) => boolean,
): string[] {
  const imports = modulesNamed(module)
    .filter(wanted)
    .flatMap((named) => importsOf(relativeModule(module, named), named, names));
  const key = ({ from, names: [first = ""] }: Import): string[] => [natural(from), ...memberKey(first)];
  // What is farther away comes first.
  const dots = ({ from }: Import): number => /^\.*/.exec(from)?.[0].length ?? 0;
  return imports.sort((a, b) => dots(b) - dots(a) || compare(key(a), key(b))).map(importText);
}

/** Each name that is changed has a line of its own. */
function importsOf(from: string, named: ModuleModel, names: ReadonlyMap<TypeModel, string>): Import[] {
  const types = [...names].filter(([type]) => type.module === named);
  const kept = types.filter(([type, name]) => type.name === name).map(([, name]) => name);
  const changed = types.filter(([type, name]) => type.name !== name);
  kept.sort((a, b) => compare(memberKey(a), memberKey(b)));
  return [
    ...(kept.length === 0 ? [] : [{ from, names: kept }]),
    ...changed.map(([type, name]) => ({ from, names: [`${type.name} as ${name}`] })),
  ];
}

function importText({ from, names }: Import): string {
  const line = `from ${from} import ${names.join(", ")}`;
  return line.length <= 88 ? line : `from ${from} import (\n    ${names.join(",\n    ")},\n)`;
}

function relativeModule(from: ModuleModel, target: ModuleModel): string {
  const folder = from.path.slice(0, -1);
  const differs = folder.findIndex((step, index) => target.path[index] !== step);
  const common = differs < 0 ? folder.length : differs;
  return ".".repeat(folder.length - common + 1) + target.path.slice(common).map(pythonModuleName).join(".");
}

/** Constants first, then classes; letters before their case, and numbers by their size. */
function memberKey(name: string): string[] {
  const [word = ""] = name.split(" ");
  const isConstant = word.length > 1 && word === word.toUpperCase();
  return [isConstant ? "0" : "1", natural(word), word, name];
}

const natural = (text: string): string => text.toLowerCase().replaceAll(/\d+/g, (digits) => digits.padStart(12, "0"));

function compare(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((part, index) => part !== b[index]);
  const [first = "", second = ""] = [a[at], b[at]];
  return at < 0 ? 0 : first < second ? -1 : 1;
}
