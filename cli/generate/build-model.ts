import type { ModuleModel, TypeModel } from "./model.ts";
import { type Declared, descriptionOf, invalid, isRecord, pointerStep, type SchemaDocument } from "./place.ts";
import { readType } from "./read-type.ts";

export interface BuildOptions {
  /** The name of a type that a document defines: by key in its `$defs`, or null for the document as a whole. */
  readonly nameOf: (document: SchemaDocument, key: string | null, taken: ReadonlySet<string>) => string;
  /** Words of the languages, which no type is called. */
  readonly reserved: ReadonlySet<string>;
  /** Tagged forms (`$salt`) are what they stand for. Default false: they are the objects that they are. */
  readonly natives?: boolean;
}

/**
 * Reads documents into the types of their modules. Throws SaltError `InvalidInput` that names the document and the JSON
 * pointer of what is not supported, cannot be resolved, or would have a name twice.
 */
export function buildModel(documents: readonly SchemaDocument[], options: BuildOptions): void {
  const taken = new Map<ModuleModel, Set<string>>();
  const declared = new Map<string, Declared>();
  for (const document of documents) {
    for (const { key, pointer, schema } of definitionsOf(document)) {
      const names = taken.get(document.module) ?? new Set(options.reserved);
      taken.set(document.module, names);
      const name = options.nameOf(document, key, names);
      names.add(name);
      const type = {
        name,
        module: document.module,
        description: descriptionOf(schema),
        isOption: false,
        shape: { kind: "any" },
      } as const;
      declared.set(`${document.url}#${pointer}`, { type: { ...type }, document, pointer, schema });
    }
  }
  const build = { declared, taken, natives: options.natives ?? false };
  for (const each of declared.values()) {
    readType(build, each);
    each.type.module.types.push(each.type);
  }
  for (const { type, document, pointer } of declared.values()) refuseItself(type, document, pointer);
  for (const { type, document, pointer } of declared.values()) checkBases(type, document, pointer);
}

interface Definition {
  readonly key: string | null;
  readonly pointer: string;
  readonly schema: unknown;
}

function definitionsOf(document: SchemaDocument): Definition[] {
  const { schema } = document;
  if (typeof schema === "boolean") return [{ key: null, pointer: "", schema }];
  if (!isRecord(schema)) throw invalid(document, "", "a schema is an object, true or false");
  const inner = ["$defs", "definitions"].flatMap((keyword) => {
    const definitions = schema[keyword];
    if (definitions === undefined) return [];
    if (!isRecord(definitions)) throw invalid(document, `/${keyword}`, "it is not an object of schemas");
    return Object.entries(definitions).map(([key, one]) => ({
      key,
      pointer: `/${keyword}/${pointerStep(key)}`,
      schema: one,
    }));
  });
  const isLibrary = inner.length > 0 && Object.keys(schema).every((keyword) => libraryKeywords.has(keyword));
  return isLibrary ? inner : [{ key: null, pointer: "", schema }, ...inner];
}

/** A file that has no others is a set of definitions, and itself no type. */
const libraryKeywords = new Set(["$schema", "$id", "$comment", "title", "description", "$defs", "definitions"]);

/** A type may hold itself in a list, a map or an object, and cannot be itself. */
function refuseItself(type: TypeModel, document: SchemaDocument, pointer: string): void {
  const seen = new Set<TypeModel>();
  const open = [...isOf(type)];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (next === type) throw invalid(document, pointer, `'${type.name}' is itself, by what it refers to`);
    if (seen.has(next)) continue;
    seen.add(next);
    open.push(...isOf(next));
  }
}

/** What a value of the type is one of, or all of. */
function isOf({ shape }: TypeModel): readonly TypeModel[] {
  if (shape.kind === "named") return [shape.type];
  if (shape.kind === "union") return shape.of.flatMap((one) => (one.kind === "named" ? [one.type] : []));
  return shape.kind === "object" ? shape.bases : [];
}

function checkBases(type: TypeModel, document: SchemaDocument, pointer: string): void {
  if (type.shape.kind !== "object") return;
  const own = new Set(type.shape.fields.map((field) => field.name));
  for (const base of type.shape.bases) {
    if (base.shape.kind !== "object") {
      throw invalid(
        document,
        `${pointer}/allOf`,
        `'${base.name}' is no object with properties, which alone can be joined`,
      );
    }
    const twice = fieldNames(base).find((name) => own.has(name));
    if (twice !== undefined) {
      throw invalid(document, `${pointer}/allOf`, `the property '${twice}' is there twice, also in '${base.name}'`);
    }
    for (const name of fieldNames(base)) own.add(name);
  }
}

function fieldNames(type: TypeModel): string[] {
  if (type.shape.kind !== "object") return [];
  const inherited = type.shape.bases.flatMap(fieldNames);
  return [...type.shape.fields.map((field) => field.name), ...inherited];
}
