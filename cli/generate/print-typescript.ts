import type { Field, Literal, ModuleModel, NativeTag, ObjectShape, Shape, TypeModel } from "./model.ts";
import { localNames, modulesNamed } from "./order-types.ts";

const widthMax = 120;

/** A module of types alone. */
export function printTypescriptModule(module: ModuleModel): string {
  const names = localNames(module);
  const imports = modulesNamed(module).map((named) => importLine(module, named, names));
  const types = module.types.map((type) => printTypescriptType(type, names));
  return [...(imports.length > 0 ? [imports.sort().join("\n")] : []), ...types].join("\n\n");
}

function importLine(module: ModuleModel, named: ModuleModel, names: ReadonlyMap<TypeModel, string>): string {
  const types = [...names].filter(([type]) => type.module === named);
  const words = types.map(([type, name]) => (type.name === name ? name : `${type.name} as ${name}`)).sort();
  const line = `import type { ${words.join(", ")} } from "${pathTo(named, module)}.js";`;
  return line.length <= widthMax ? line : line.replace("{ ", "{\n  ").replaceAll(", ", ",\n  ").replace(" }", ",\n}");
}

function pathTo(target: ModuleModel, from: ModuleModel): string {
  const up = from.path.slice(0, -1);
  const shared = up.findIndex((step, index) => target.path[index] !== step);
  const common = shared < 0 ? up.length : shared;
  const steps = [...Array(up.length - common).fill(".."), ...target.path.slice(common)];
  return steps[0] === ".." ? steps.join("/") : `./${steps.join("/")}`;
}

export function printTypescriptType(type: TypeModel, names: ReadonlyMap<TypeModel, string>): string {
  const about = comment(type.description, "");
  const name = names.get(type) ?? type.name;
  if (type.shape.kind !== "object") return `${about}export type ${name} =${aliasText(type.shape, names, name)};`;
  const bases = type.shape.bases.map((base) => names.get(base) ?? base.name);
  const head = `${about}export interface ${name}${bases.length > 0 ? ` extends ${bases.join(", ")}` : ""}`;
  const lines = fieldLines(type.shape, names);
  return lines.length === 0 ? `${head} {}` : `${head} {\n${lines.join("\n")}\n}`;
}

function fieldLines(shape: ObjectShape, names: ReadonlyMap<TypeModel, string>): string[] {
  const lines = shape.fields.map((field) => `${comment(field.description, "  ")}  ${fieldText(field, names)}`);
  return shape.open ? [...lines, "  [name: string]: unknown;"] : lines;
}

const fieldText = ({ name, required, shape }: Field, names: ReadonlyMap<TypeModel, string>): string =>
  `${propertyText(name)}${required ? "" : "?"}: ${typescriptText(shape, names)};`;

const propertyText = (name: string): string => (/^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name));

/** A union that is too long for a line has one of its types a line. */
function aliasText(shape: Shape, names: ReadonlyMap<TypeModel, string>, name: string): string {
  const line = typescriptText(shape, names);
  const fits = line.length + name.length + "export type  = ;".length <= widthMax;
  if (fits || (shape.kind !== "union" && shape.kind !== "literal")) return ` ${line}`;
  return optionTexts(shape, names)
    .map((option) => `\n  | ${option}`)
    .join("");
}

const optionTexts = (shape: Shape & { kind: "union" | "literal" }, names: ReadonlyMap<TypeModel, string>): string[] => [
  ...new Set(
    shape.kind === "literal" ? shape.values.map(literalText) : shape.of.map((option) => typescriptText(option, names)),
  ),
];

const literalText = (value: Literal): string => JSON.stringify(value);

const natives: Readonly<Record<NativeTag, string>> = {
  date: "Date",
  bytes: "Uint8Array",
  bigint: "bigint",
  decimal: "Decimal",
  map: "Map<unknown, unknown>",
  set: "Set<unknown>",
  uuid: "string",
  duration: "Duration",
  file: "FileValue",
  error: "Error",
};

const plain = {
  any: "unknown",
  never: "never",
  null: "null",
  boolean: "boolean",
  integer: "number",
  number: "number",
  string: "string",
} as const;

export function typescriptText(shape: Shape, names: ReadonlyMap<TypeModel, string>): string {
  const text = (inner: Shape): string => typescriptText(inner, names);
  switch (shape.kind) {
    case "literal":
    case "union":
      return optionTexts(shape, names).join(" | ");
    case "native":
      return natives[shape.tag];
    case "array": {
      const of = text(shape.of);
      return /^[\w.]+(\[\])*$/.test(of) ? `${of}[]` : `Array<${of}>`;
    }
    case "tuple":
      return `[${[...shape.of.map(text), ...(shape.rest === null ? [] : [`...Array<${text(shape.rest)}>`])].join(", ")}]`;
    case "map":
      return mapText(text(shape.keys), text(shape.values), shape.keys);
    case "named":
      return names.get(shape.type) ?? shape.type.name;
    default:
      return plain[shape.kind];
  }
}

/** An alias may name itself within it. Of known keys none needs to be there. */
const mapText = (keys: string, values: string, shape: Shape): string =>
  shape.kind === "string" ? `{ [name: string]: ${values} }` : `{ [name in ${keys}]?: ${values} }`;

/** A comment for editors, with what would end it taken apart. */
export function comment(text: string | null, indent: string): string {
  if (text === null) return "";
  const lines = cleanLines(text, widthMax - 6).map((line) => line.replaceAll("*/", "* /"));
  const [only = ""] = lines;
  if (lines.length === 1 && only.length + indent.length + 7 <= widthMax) return `${indent}/** ${only} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join("\n")}\n${indent} */\n`;
}

/** Lines that no compiler takes for more than one, broken between words where they are longer than `width`. */
export const cleanLines = (text: string, width: number): string[] =>
  text
    .trim()
    .split(/\r\n?|\n/)
    .map((line) => line.replaceAll(/[\p{Cc}\u2028\u2029]/gu, " ").trimEnd())
    .flatMap((line) => wrap(line, width));

function wrap(line: string, width: number): string[] {
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const found = rest.lastIndexOf(" ", width);
    const at = found > 0 ? found : rest.indexOf(" ", width);
    if (at < 0) break;
    lines.push(rest.slice(0, at).trimEnd());
    rest = rest.slice(at + 1);
  }
  return [...lines, rest];
}
