import { SaltError } from "#shared/domain/errors.ts";
import {
  type Field,
  type Literal,
  type ModuleModel,
  type NativeTag,
  type ObjectShape,
  type Shape,
  type TypeModel,
  typesNamed,
} from "./model.ts";
import { pythonKeywords } from "./names.ts";
import { isCircular, isText, localNames, modulesNamed, orderTypes } from "./order-types.ts";
import { cleanLines } from "./print-typescript.ts";
import { pythonImports } from "./python-imports.ts";

type Names = ReadonlyMap<TypeModel, string>;

/** A module of TypedDicts and aliases. It can be imported: no type is looked at before it is there. */
export function printPythonModule(module: ModuleModel): string {
  const names = localNames(module);
  const circular = new Set(modulesNamed(module).filter((named) => isCircular(module, named)));
  refuseCircularBases(module, circular);
  const { classes, lines } = printPythonTypes(module, names);
  const early = pythonImports(module, names, (named) => !circular.has(named));
  const late = pythonImports(module, names, (named) => circular.has(named)).map((line) =>
    line.replaceAll(/^/gm, "    "),
  );
  const typing = [...(late.length > 0 ? ["TYPE_CHECKING"] : []), ...typingNames(lines)];
  return [
    "from __future__ import annotations",
    ...(typing.length > 0 ? [`from typing import ${typing.join(", ")}`] : []),
    ...(early.length > 0 ? [early.join("\n")] : []),
    ...(late.length > 0 ? [`if TYPE_CHECKING:\n${late.join("\n")}`] : []),
  ]
    .join("\n\n")
    .concat(classes === "" ? "" : `\n\n${/^(class |@)/.test(classes) ? "\n" : ""}${classes}`);
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

const typingNames = (text: string): string[] =>
  ["Any", "Literal", "NoReturn", "TypeAlias", "TypedDict", "final"].filter((name) =>
    new RegExp(`(?<![\\w.])${name}\\b`).test(text),
  );

/** `lines` is the code without what people read and without texts, by which the names that it needs are found. */
export function printPythonTypes(
  module: ModuleModel,
  names: Names,
): { readonly classes: string; readonly lines: string } {
  const ordered = orderTypes(module, (type) => (type.shape.kind === "object" ? type.shape.bases : typesNamed(type)));
  const classes = ordered.map((type) =>
    type.shape.kind === "object" ? classText(type, type.shape, names) : aliasText(type, type.shape, names),
  );
  const lines = ordered.flatMap(({ shape, isOption }) =>
    shape.kind === "object"
      ? ["TypedDict", isOption ? "final" : "", ...shape.fields.map((field) => pythonText(field.shape, names))]
      : ["TypeAlias", pythonText(shape, names)],
  );
  return { classes: classes.join("\n\n\n"), lines: lines.map(withoutTexts).join("\n") };
}

const withoutTexts = (code: string): string => code.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');

function aliasText(type: TypeModel, shape: Shape, names: Names): string {
  const name = names.get(type) ?? type.name;
  const about = type.description === null ? "" : `${comments(type.description, "")}\n`;
  const options = shape.kind === "union" ? unionTexts(shape, names) : [pythonText(shape, names)];
  const isLate = isText(type);
  const line = isLate ? quoted(options.join(" | ")) : options.join(" | ");
  if (line.length + name.length < 80 || options.length === 1 || isLate) return `${about}${name}: TypeAlias = ${line}`;
  return `${about}${name}: TypeAlias = (\n    ${options.join("\n    | ")}\n)`;
}

/**
 * A TypedDict. Keys that may be left out are in a class of their own, since `NotRequired` is not in Python 3.10; keys that
 * no attribute can be called are in the form that takes any. Of a union's options, which have no heirs, type checkers know
 * then which one has a key.
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
    ...(type.isOption ? ["@final"] : []),
    `class ${name}(${all.length > 0 ? all.join(", ") : "TypedDict"}${alone && own.length > 0 ? ", total=False" : ""}):`,
    ...docText(type.description),
    ...own.filter((field) => !optional.includes(field)).flatMap((field) => fieldLines(field, names)),
  ];
  if (lines.at(-1)?.startsWith("class ")) lines.push("    pass");
  return [
    ...parts.map(({ suffix, fields, print }) => print(`_${name}${suffix}`, fields, names)),
    lines.join("\n"),
  ].join("\n\n\n");
}

/** Linters take these for digits. */
const ambiguous = ["l", "O", "I"];

/** `odd` are those that cannot be attributes of the class: a field that is called what an annotation names would hide it. */
function sortFields({ fields }: ObjectShape, names: Names): { readonly plain: Field[]; readonly odd: Field[] } {
  const annotations = fields.map((field) => withoutTexts(pythonText(field.shape, names)));
  const words = new Set([...pythonKeywords, ...ambiguous, ...annotations.flatMap((text) => text.match(/\w+/g) ?? [])]);
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
      return literalTexts(shape.values).join(" | ");
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

/** Each type once, `None` last; that of no value only where it is alone. */
function unionTexts(shape: Shape & { kind: "union" }, names: Names): string[] {
  const texts = shape.of.flatMap((one) => {
    if (one.kind === "union") return unionTexts(one, names);
    return one.kind === "literal" ? literalTexts(one.values) : [pythonText(one, names)];
  });
  const others = new Set(texts.filter((text) => text !== "None" && text !== "NoReturn"));
  const found = [...others, ...(texts.includes("None") ? ["None"] : [])];
  return found.length > 0 ? found : ["NoReturn"];
}

/** Numbers with a fraction are no literals in Python's types. */
function literalTexts(values: readonly Literal[]): string[] {
  const isFixed = (value: Literal): boolean => typeof value !== "number" || Number.isSafeInteger(value);
  const words = values
    .filter((value) => value !== null && isFixed(value))
    .map((value) => (value === true ? "True" : value === false ? "False" : JSON.stringify(value)));
  const texts = [
    ...(words.length > 0 ? [`Literal[${words.join(", ")}]`] : []),
    ...(values.every(isFixed) ? [] : ["float"]),
    ...(values.includes(null) ? ["None"] : []),
  ];
  return texts.length > 0 ? texts : ["NoReturn"];
}

/** What formatters and linters are to let be, whatever a project asks of its own code. */
export function linterLines(code: string): string[] {
  const isLong = code.split("\n").some((line) => line.length > 88);
  // Names of fields that hide a type are not seen to be odd; with longer lines allowed the first is not needed (RUF100).
  const rules = [...(isLong ? ["E501"] : []), ...(code.includes(" = TypedDict(") ? ["UP013"] : [])];
  return ["# fmt: off", ...(rules.length > 0 ? [`# ruff: noqa: ${rules.join(", ")}, RUF100`] : [])];
}
