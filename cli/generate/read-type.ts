import { depthMax } from "#shared/values/types.ts";
import { didYouMean } from "../nearest.ts";
import { makesFields, passedOver, refused, shaping } from "./keywords.ts";
import type { Field, Literal, NativeTag, ObjectShape, Shape, TypeModel } from "./model.ts";
import { takeName, typeName } from "./names.ts";
import { type Build, type Declared, descriptionOf, invalid, isRecord, type Place, pointerStep } from "./place.ts";
import { resolveRef } from "./resolve-ref.ts";

type Schema = Readonly<Record<string, unknown>>;

/** Gives a declared type its shape; objects within it become types of the same module. */
export function readType(build: Build, { type, document, pointer, schema }: Declared): void {
  type.shape = readBody({ build, document, pointer, name: type.name, depth: 0 }, schema);
}

const inside = (place: Place, steps: readonly (string | number)[], name = place.name): Place => ({
  ...place,
  pointer: [place.pointer, ...steps.map((step) => pointerStep(String(step)))].join("/"),
  name,
  depth: place.depth + 1,
});

const fail = (place: Place, problem: string, next?: string): never => {
  throw invalid(place.document, place.pointer, problem, next);
};

/** The shape of a schema within another: an object with properties gets a name of its own. */
function readShape(place: Place, schema: unknown, isOption = false): Shape {
  const body = readBody(place, schema);
  if (body.kind !== "object") return body;
  const { module } = place.document;
  const title = isRecord(schema) && typeof schema.title === "string" ? typeName(schema.title) : "";
  const taken = place.build.taken.get(module) ?? new Set<string>();
  const name = takeName(title === "" ? place.name : title, taken);
  const type: TypeModel = { name, module, description: descriptionOf(schema), isOption, shape: body };
  module.types.push(type);
  return { kind: "named", type };
}

function readBody(place: Place, schema: unknown): Shape | ObjectShape {
  if (schema === true) return { kind: "any" };
  if (schema === false) return { kind: "never" };
  if (!isRecord(schema)) return fail(place, "a schema is an object, true or false");
  if (place.depth > depthMax) return fail(place, `it is nested more than ${depthMax} levels deep`);
  checkKeywords(place, schema);
  if ("$ref" in schema) return readRef(place, schema);
  if ("not" in schema) return readNot(place, schema);
  if ("const" in schema) return { kind: "literal", values: [literalOf(inside(place, ["const"]), schema.const)] };
  if ("enum" in schema) return readEnum(place, schema);
  if ("anyOf" in schema || "oneOf" in schema) return readUnion(place, schema);
  if ("allOf" in schema) return readAllOf(place, schema);
  return readByType(place, schema);
}

function checkKeywords(place: Place, schema: Schema): void {
  for (const keyword of Object.keys(schema)) {
    if (passedOver.has(keyword) || shaping.has(keyword) || keyword.startsWith("x-")) continue;
    const at = inside(place, [keyword]);
    const instead = refused.get(keyword);
    if (instead !== undefined) fail(at, `'${keyword}' is not supported`, instead);
    const nearest = didYouMean(keyword, [...passedOver, ...shaping]);
    fail(at, `'${keyword}' is no keyword of JSON Schema`, nearest.trim() || "remove it, or begin its name with x-");
  }
  if ("$id" in schema && place.pointer !== "") fail(inside(place, ["$id"]), "'$id' is supported at a file's top alone");
  for (const keyword of ["unevaluatedProperties", "unevaluatedItems"]) {
    if (typeof (schema[keyword] ?? false) !== "boolean")
      fail(inside(place, [keyword]), "it is supported as true or false");
  }
}

/** What makes the whole type stands alone: what is beside it would have to be joined with it. */
function standsAlone(place: Place, schema: Schema, keyword: string, others: readonly string[]): void {
  const beside = others.find((other) => other !== keyword && other in schema);
  if (beside !== undefined) {
    fail(
      inside(place, [beside]),
      `'${beside}' beside '${keyword}' is not supported`,
      "put it into each part, or use allOf",
    );
  }
}

const combining = ["not", "anyOf", "oneOf", "allOf"];

function readRef(place: Place, schema: Schema): Shape {
  standsAlone(place, schema, "$ref", [...makesFields, ...combining, "const", "enum", "type", "items", "prefixItems"]);
  const at = inside(place, ["$ref"]);
  return { kind: "named", type: resolveRef(at, schema.$ref).type };
}

function readNot(place: Place, schema: Schema): Shape {
  const never = isRecord(schema.not) ? Object.keys(schema.not).length === 0 : schema.not === true;
  if (!never) fail(inside(place, ["not"]), "'not' is supported as {} alone, which no value fits", "say what may be");
  return { kind: "never" };
}

function readEnum(place: Place, schema: Schema): Shape {
  const at = inside(place, ["enum"]);
  if (!Array.isArray(schema.enum)) return fail(at, "it is not a list");
  if (schema.enum.length === 0) return { kind: "never" };
  const values = schema.enum.map((value, index) => literalOf(inside(at, [index]), value));
  return { kind: "literal", values: [...new Set(values)] };
}

function literalOf(place: Place, value: unknown): Literal {
  if (value === null || typeof value === "string" || typeof value === "boolean" || typeof value === "number")
    return value;
  return fail(
    place,
    "a fixed value is a string, a number, true, false or null",
    "describe the object by its properties",
  );
}

function readUnion(place: Place, schema: Schema): Shape {
  const keyword = "anyOf" in schema ? "anyOf" : "oneOf";
  standsAlone(place, schema, keyword, [...makesFields, ...combining]);
  const at = inside(place, [keyword]);
  const options = schema[keyword];
  if (!Array.isArray(options) || options.length === 0) return fail(at, "it is not a list of schemas");
  const of = options.map((option, index) => {
    const name = options.length === 1 ? place.name : place.name + variantName(option);
    return readShape(inside(at, [index], name), option, true);
  });
  return unionOf(of);
}

/** A union's option is told by a fixed property, else by its first one. */
function variantName(option: unknown): string {
  if (!isRecord(option) || !isRecord(option.properties)) return "";
  const fields = Object.entries(option.properties);
  const fixed = fields.map(([, field]) => (isRecord(field) ? field.const : undefined));
  return typeName(String(fixed.find((value) => typeof value === "string") ?? fields[0]?.[0] ?? ""));
}

/** What anything fits is anything, whatever else fits too; what nothing fits adds nothing. */
function unionOf(of: readonly Shape[]): Shape {
  const all = of.flatMap((shape) => (shape.kind === "union" ? shape.of : [shape]));
  const possible = all.filter((shape) => shape.kind !== "never");
  const flat = possible.length > 0 ? possible : all.slice(0, 1);
  const one = flat.find((shape) => shape.kind === "any") ?? (flat.length === 1 ? flat[0] : undefined);
  return one ?? { kind: "union", of: flat };
}

/** Objects are joined: named ones as bases, others by their fields. One schema alone is what it is. */
function readAllOf(place: Place, schema: Schema): Shape | ObjectShape {
  const parts = schema.allOf;
  const at = inside(place, ["allOf"]);
  standsAlone(place, schema, "allOf", combining);
  if (!Array.isArray(parts) || parts.length === 0) return fail(at, "it is not a list of schemas");
  const own = makesFields.some((keyword) => keyword in schema);
  if (parts.length === 1 && !own) return readBody(inside(at, [0], place.name), parts[0]);
  const read = parts.map((part, index) => readBody(inside(at, [index], place.name), part));
  if (own) read.push(readObject(place, schema));
  const bases: TypeModel[] = [];
  const fields: Field[] = [];
  for (const [index, part] of read.entries()) {
    if (part.kind === "named") bases.push(part.type);
    else if (part.kind === "object") fields.push(...part.fields);
    else fail(inside(at, [index]), "only objects with properties can be joined");
    if (part.kind === "object") bases.push(...part.bases);
  }
  const names = fields.map((field) => field.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) fail(at, `the property '${twice}' is there twice`, "keep one of the two");
  return { kind: "object", bases, fields, open: read.some((part) => part.kind === "object" && part.open) };
}

function readByType(place: Place, schema: Schema): Shape | ObjectShape {
  const { type = impliedType(schema) } = schema;
  if (type === undefined) return { kind: "any" };
  if (!Array.isArray(type)) return readOneType(place, schema, type);
  if (type.length === 1) return readOneType(place, schema, type[0]);
  return unionOf(type.map((one) => readShape(place, { ...schema, type: one })));
}

function impliedType(schema: Schema): string | undefined {
  if ([...makesFields, "propertyNames"].some((keyword) => keyword in schema)) return "object";
  return "items" in schema || "prefixItems" in schema ? "array" : undefined;
}

const plainTypes = ["null", "boolean", "integer", "number", "string"] as const;

function readOneType(place: Place, schema: Schema, type: unknown): Shape | ObjectShape {
  const plain = plainTypes.find((one) => one === type);
  if (plain !== undefined) return { kind: plain };
  if (type === "array") return readArray(place, schema);
  if (type === "object") return nativeOf(place, schema) ?? readMapOrObject(place, schema);
  return fail(inside(place, ["type"]), `there is no type ${JSON.stringify(type)}`, "use a type of JSON");
}

function readArray(place: Place, schema: Schema): Shape {
  const { prefixItems, items = true } = schema;
  if (Array.isArray(items))
    fail(inside(place, ["items"]), "a list of schemas here is not supported", "call it prefixItems");
  const rest = readShape(inside(place, ["items"]), items);
  if (prefixItems === undefined) return { kind: "array", of: rest };
  const at = inside(place, ["prefixItems"]);
  if (!Array.isArray(prefixItems)) return fail(at, "it is not a list of schemas");
  const of = prefixItems.map((item, index) => readShape(inside(at, [index], `${place.name}${index + 1}`), item));
  // By the letter of the standard a list may be shorter, or go on with anything: nobody means that.
  return { kind: "tuple", of, rest: "items" in schema && items !== false ? rest : null };
}

function readMapOrObject(place: Place, schema: Schema): Shape | ObjectShape {
  const hasFields = isRecord(schema.properties) ? Object.keys(schema.properties).length > 0 : "properties" in schema;
  const required = Array.isArray(schema.required) && schema.required.length > 0;
  if (hasFields || required) return readObject(place, schema);
  const values = [
    ...patternSchemas(place, schema).map(([pattern, one]) =>
      readShape(inside(place, ["patternProperties", pattern]), one),
    ),
    ...(schema.additionalProperties === false && "patternProperties" in schema
      ? []
      : [readShape(inside(place, ["additionalProperties"]), schema.additionalProperties ?? true)]),
  ];
  const names = inside(place, ["propertyNames"]);
  const keys =
    "propertyNames" in schema ? readShape(names, textOnly(schema.propertyNames)) : { kind: "string" as const };
  return { kind: "map", keys, values: unionOf(values) };
}

/** `{ pattern }` alone says nothing of the type, which keys have by themselves. */
const textOnly = (schema: unknown): unknown => {
  const saysMore = isRecord(schema) && ["$ref", "enum", "const", ...combining].some((keyword) => keyword in schema);
  return isRecord(schema) && !saysMore ? { ...schema, type: "string" } : schema;
};

function patternSchemas(place: Place, schema: Schema): [string, unknown][] {
  const { patternProperties = {} } = schema;
  if (isRecord(patternProperties)) return Object.entries(patternProperties);
  return fail(inside(place, ["patternProperties"]), "it is not an object of schemas");
}

function readObject(place: Place, schema: Schema): ObjectShape {
  const { properties = {}, required = [], additionalProperties } = schema;
  if (!isRecord(properties)) return fail(inside(place, ["properties"]), "it is not an object of schemas");
  if (!Array.isArray(required) || required.some((name) => typeof name !== "string")) {
    return fail(inside(place, ["required"]), "it is not a list of names");
  }
  if ("patternProperties" in schema) {
    fail(inside(place, ["patternProperties"]), "it is not supported beside properties", "use additionalProperties");
  }
  const known = Object.entries(properties);
  const others = required.filter((name) => !Object.hasOwn(properties, name)).map((name) => [name, true] as const);
  const fields = [...known, ...others].map(([name, field]) => ({
    name,
    description: descriptionOf(field),
    required: required.includes(name),
    shape: readShape(inside(place, ["properties", name], place.name + typeName(name)), field),
  }));
  return { kind: "object", bases: [], fields, open: isRecord(additionalProperties) || additionalProperties === true };
}

const nativeTags: ReadonlySet<string> = new Set<NativeTag>([
  ...(["date", "bytes", "bigint", "decimal", "map", "set", "uuid", "duration", "file", "error"] as const),
]);

/** What a tagged form stands for, where these are not wanted as they are. */
function nativeOf(place: Place, schema: Schema): Shape | null {
  if (!place.build.natives || !isRecord(schema.properties)) return null;
  const { $salt, v } = schema.properties;
  const tag = isRecord($salt) ? $salt.const : undefined;
  if (v === undefined || typeof tag !== "string" || !nativeTags.has(tag)) return null;
  return { kind: "native", tag: tag as NativeTag };
}
