import { SaltError } from "#shared/domain/errors.ts";
import {
  type Field,
  type Literal,
  type ModuleModel,
  type NativeTag,
  type ObjectShape,
  partsOf,
  type Shape,
  type TypeModel,
  typesNamed,
} from "./model.ts";
import { snakeName } from "./names.ts";
import { isCircular, localNames, modulesNamed, orderTypes } from "./order-types.ts";
import { cleanLines } from "./print-typescript.ts";

type Names = ReadonlyMap<TypeModel, string>;

/** Words that no parameter, field of a class or module can be called. */
export const pythonKeywords: ReadonlySet<string> = new Set(
  (
    "False None True and as assert async await break class continue def del elif else except finally for from global " +
    "if import in is lambda nonlocal not or pass raise return try while with yield"
  ).split(" "),
);

/** The name of a module or package, for a file or folder. */
export function pythonModuleName(name: string): string {
  const snake = snakeName(name);
  return pythonKeywords.has(snake) ? `${snake}_` : snake;
}

/** A module of TypedDicts and aliases. It can be imported: no type is looked at before it is there. */
export function printPythonModule(module: ModuleModel): string {
  const names = localNames(module);
  const circular = new Set(modulesNamed(module).filter((named) => isCircular(module, named)));
  refuseCircularBases(module, circular);
  const { classes, lines } = printPythonTypes(module, names, circular);
  const imports = modulesNamed(module).map((named) => ({ named, line: importText(module, named, names) }));
  const early = imports.filter(({ named }) => !circular.has(named)).map(({ line }) => line);
  const late = imports.filter(({ named }) => circular.has(named)).map(({ line }) => line.replaceAll(/^/gm, "    "));
  const typing = [...typingNames(lines), ...(late.length > 0 ? ["TYPE_CHECKING"] : [])].sort();
  return [
    "from __future__ import annotations",
    ...(typing.length > 0 ? [`from typing import ${typing.join(", ")}`] : []),
    ...(early.length > 0 ? [early.sort(byDots).join("\n")] : []),
    ...(late.length > 0 ? [`if TYPE_CHECKING:\n${late.sort(byDots).join("\n")}`] : []),
  ]
    .join("\n\n")
    .concat(classes === "" ? "" : `\n\n${classes.startsWith("class ") ? "\n" : ""}${classes}`);
}

/** A class needs its bases when it is made, and of two modules one is made first. */
function refuseCircularBases(module: ModuleModel, circular: ReadonlySet<ModuleModel>): void {
  for (const { name, shape } of module.types) {
    const base = shape.kind === "object" ? shape.bases.find((one) => circular.has(one.module)) : undefined;
    if (base === undefined) continue;
    const [here, there] = [module, base.module].map(({ path }) => path.join("/"));
    throw new SaltError(
      "InvalidInput",
      `Cannot make '${name}' of ${here} in Python: its allOf needs ${there}, which needs ${here}.`,
      {
        next: `move '${base.name}' to a file of its own`,
      },
    );
  }
}

/** As import sorters have it: what is farther away comes first. */
const byDots = (a: string, b: string): number => {
  const dots = (line: string): number => /from (\.+)/.exec(line)?.[1]?.length ?? 0;
  return dots(b) - dots(a) || (a < b ? -1 : 1);
};

const typingNames = (text: string): string[] =>
  ["Any", "Literal", "NoReturn", "TypeAlias", "TypedDict"].filter((name) =>
    new RegExp(`(?<![\\w.])${name}\\b`).test(text),
  );

/** As import sorters have it: each name that is changed has a line of its own. */
function importText(module: ModuleModel, named: ModuleModel, names: Names): string {
  const from = `from ${relativeModule(module, named)} import`;
  const types = [...names].filter(([type]) => type.module === named).sort(([a], [b]) => (a.name < b.name ? -1 : 1));
  const kept = types.filter(([type, name]) => type.name === name).map(([, name]) => name);
  const changed = types.filter(([type, name]) => type.name !== name);
  const line = `${from} ${kept.join(", ")}`;
  return [
    ...(kept.length === 0 ? [] : [line.length <= 88 ? line : `${from} (\n    ${kept.join(",\n    ")},\n)`]),
    ...changed.map(([type, name]) => `${from} ${type.name} as ${name}`),
  ].join("\n");
}

function relativeModule(from: ModuleModel, target: ModuleModel): string {
  const folder = from.path.slice(0, -1);
  const differs = folder.findIndex((step, index) => target.path[index] !== step);
  const common = differs < 0 ? folder.length : differs;
  return ".".repeat(folder.length - common + 1) + target.path.slice(common).map(pythonModuleName).join(".");
}

/**
 * `lines` is the code without what people read, by which the names that it needs are found; `late` has the names of types that
 * are texts, since they name themselves.
 */
export function printPythonTypes(
  module: ModuleModel,
  names: Names,
  circular: ReadonlySet<ModuleModel> = new Set(),
): { readonly classes: string; readonly lines: string; readonly late: ReadonlySet<string> } {
  const ordered = orderTypes(module, (type) => (type.shape.kind === "object" ? type.shape.bases : typesNamed(type)));
  const before = new Set<TypeModel>();
  const lateNames = new Set<string>();
  const printed = ordered.map((type) => {
    const late = (named: TypeModel) => circular.has(named.module) || (named.module === module && !before.has(named));
    const text =
      type.shape.kind === "object" ? classText(type, type.shape, names) : aliasText(type, type.shape, names, late);
    if (type.shape.kind !== "object" && typesNamed(type).some(late)) lateNames.add(type.name);
    before.add(type);
    return text;
  });
  const fields = ordered
    .flatMap((type) => partsOf(type.shape))
    .map((shape) => (shape.kind === "object" ? "" : pythonText(shape, names)));
  const lines = [...fields, ...ordered.map((type) => (type.shape.kind === "object" ? "TypedDict" : "TypeAlias"))].join(
    "\n",
  );
  return { classes: printed.join("\n\n\n"), lines, late: lateNames };
}

function aliasText(type: TypeModel, shape: Shape, names: Names, late: (named: TypeModel) => boolean): string {
  const name = names.get(type) ?? type.name;
  const about = type.description === null ? "" : `${comments(type.description, "")}\n`;
  const options = shape.kind === "union" ? unionTexts(shape, names) : [pythonText(shape, names)];
  const isLate = typesNamed(type).some(late);
  const line = isLate ? quoted(options.join(" | ")) : options.join(" | ");
  if (line.length + name.length < 80 || options.length === 1 || isLate) return `${about}${name}: TypeAlias = ${line}`;
  return `${about}${name}: TypeAlias = (\n    ${options.join("\n    | ")}\n)`;
}

/**
 * A TypedDict. Keys that may be left out are in a class of their own, since `NotRequired` is not in Python 3.10; keys that
 * no attribute can be called are in the form that takes any.
 */
function classText(type: TypeModel, shape: ObjectShape, names: Names): string {
  const name = names.get(type) ?? type.name;
  const { plain: own, odd } = sortFields(shape, names);
  const isOptional = ({ required }: Field) => !required;
  const bases = shape.bases.map((base) => names.get(base) ?? base.name);
  const alone = odd.length === 0 && bases.length === 0 && own.every(isOptional);
  const optional = alone ? [] : own.filter(isOptional);
  const parts = [
    { suffix: "Optional", fields: optional, print: classPart },
    { suffix: "OptionalKeys", fields: odd.filter(isOptional), print: functionalPart },
    { suffix: "Keys", fields: odd.filter((field) => field.required), print: functionalPart },
  ].filter(({ fields }) => fields.length > 0);
  const all = [...parts.map(({ suffix }) => `_${name}${suffix}`).reverse(), ...bases];
  const lines = [
    `class ${name}(${all.length > 0 ? all.join(", ") : "TypedDict"}${alone && own.length > 0 ? ", total=False" : ""}):`,
    ...docText(type.description),
    ...own.filter((field) => !optional.includes(field)).flatMap((field) => fieldLines(field, names)),
  ];
  if (lines.length === 1) lines.push("    pass");
  return [
    ...parts.map(({ suffix, fields, print }) => print(`_${name}${suffix}`, fields, names)),
    lines.join("\n"),
  ].join("\n\n\n");
}

/** `odd` are those that cannot be attributes of the class: a field that is called what an annotation names would hide it. */
function sortFields({ fields }: ObjectShape, names: Names): { readonly plain: Field[]; readonly odd: Field[] } {
  const annotations = fields.map((field) => pythonText(field.shape, names).replaceAll(/"(?:[^"\\]|\\.)*"/g, ""));
  const words = new Set([...pythonKeywords, ...annotations.flatMap((text) => text.match(/\w+/g) ?? [])]);
  const isPlain = ({ name }: Field) => /^(?!__)[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !words.has(name);
  return { plain: fields.filter(isPlain), odd: fields.filter((field) => !isPlain(field)) };
}

const classPart = (name: string, fields: readonly Field[], names: Names): string =>
  [`class ${name}(TypedDict, total=False):`, ...fields.flatMap((field) => fieldLines(field, names))].join("\n");

const functionalPart = (name: string, fields: readonly Field[], names: Names): string =>
  [
    `${name} = TypedDict(`,
    `    "${name}",`,
    "    {",
    ...fields.map(({ name: key, shape }) => `        ${JSON.stringify(key)}: ${quoted(pythonText(shape, names))},`),
    "    },",
    ...(fields.every((field) => field.required) ? [] : ["    total=False,"]),
    ")",
  ].join("\n");

/** A type as a string, which is looked at when all types are there. */
const quoted = (text: string): string =>
  /['\\]/.test(text) ? JSON.stringify(text) : text.includes('"') ? `'${text}'` : `"${text}"`;

function fieldLines({ name, description, shape }: Field, names: Names): string[] {
  const about = description === null ? [] : [comments(description, "    ")];
  return [...about, `    ${name}: ${pythonText(shape, names)}`];
}

export const comments = (text: string, indent: string): string =>
  cleanLines(text, 84 - indent.length)
    .map((line) => `${indent}# ${line}`.trimEnd())
    .join("\n");

/** The lines of a docstring, indented by four. */
export function docText(text: string | null): string[] {
  if (text === null) return [];
  const lines = cleanLines(text, 78).map((line) => line.replaceAll("\\", "\\\\").replaceAll('"""', '\\"\\"\\"'));
  const [first = "", ...rest] = lines;
  const end = lines.at(-1)?.endsWith('"') ? ' """' : '"""';
  if (rest.length === 0) return [`    """${first}${end}`];
  return [`    """${first}`, ...rest.map((line) => (line === "" ? "" : `    ${line}`)), '    """'];
}

const natives: Readonly<Record<NativeTag, string>> = {
  date: "datetime",
  bytes: "bytes",
  bigint: "BigInt",
  decimal: "Decimal",
  map: "Map[Any, Any]",
  set: "set[Any]",
  uuid: "UUID",
  duration: "timedelta",
  file: "FileValue",
  error: "Exception",
};

const plain = {
  any: "Any",
  never: "NoReturn",
  null: "None",
  boolean: "bool",
  integer: "int",
  number: "float",
  string: "str",
} as const;

export function pythonText(shape: Shape, names: Names): string {
  switch (shape.kind) {
    case "literal":
      return literalText(shape.values);
    case "union":
      return unionTexts(shape, names).join(" | ");
    case "native":
      return natives[shape.tag];
    case "array":
      return `list[${pythonText(shape.of, names)}]`;
    // JSON's arrays are lists, which Python's types know one type of.
    case "tuple":
      return `list[${unionTexts({ kind: "union", of: shape.rest === null ? shape.of : [...shape.of, shape.rest] }, names).join(" | ")}]`;
    case "map":
      return `dict[${pythonText(shape.keys, names)}, ${pythonText(shape.values, names)}]`;
    case "named":
      return names.get(shape.type) ?? shape.type.name;
    default:
      return plain[shape.kind];
  }
}

/** Each type once; of `Any` and another there remains `Any`. */
function unionTexts(shape: Shape & { kind: "union" }, names: Names): string[] {
  const texts = [...new Set(shape.of.map((option) => pythonText(option, names)))];
  return texts.includes("Any") ? ["Any"] : texts;
}

/** Numbers with a fraction are no literals in Python's types. */
function literalText(values: readonly Literal[]): string {
  const fixed = values.filter((value) => typeof value !== "number" || Number.isSafeInteger(value));
  const words = fixed.map((value) =>
    value === null ? "None" : typeof value === "boolean" ? (value ? "True" : "False") : JSON.stringify(value),
  );
  const texts = [
    ...(words.length > 0 ? [`Literal[${words.join(", ")}]`] : []),
    ...(fixed.length < values.length ? ["float"] : []),
  ];
  return texts.join(" | ") || "NoReturn";
}
