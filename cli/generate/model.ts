/** What schemas come to, for the printers of all languages: modules of named types, with nothing of JSON Schema left. */

export type Literal = string | number | boolean | null;

/** What JSON lacks and Salt's values have, as stubs show it to people. */
export type NativeTag =
  | "date"
  | "bytes"
  | "bigint"
  | "decimal"
  | "map"
  | "set"
  | "uuid"
  | "duration"
  | "file"
  | "error";

export type Shape =
  | { readonly kind: "any" | "never" | "null" | "boolean" | "integer" | "number" | "string" }
  | { readonly kind: "literal"; readonly values: readonly Literal[] }
  | { readonly kind: "native"; readonly tag: NativeTag }
  | { readonly kind: "array"; readonly of: Shape }
  | { readonly kind: "tuple"; readonly of: readonly Shape[]; readonly rest: Shape | null }
  | { readonly kind: "map"; readonly keys: Shape; readonly values: Shape }
  | { readonly kind: "union"; readonly of: readonly Shape[] }
  | { readonly kind: "named"; readonly type: TypeModel };

export interface Field {
  readonly name: string;
  readonly description: string | null;
  readonly required: boolean;
  readonly shape: Shape;
}

/** An object with known properties. Others are allowed too, unless a language's types say otherwise. */
export interface ObjectShape {
  readonly kind: "object";
  /** Types whose fields it has besides its own. */
  readonly bases: readonly TypeModel[];
  readonly fields: readonly Field[];
  /** It says itself that other properties may come. */
  readonly open: boolean;
}

export interface TypeModel {
  readonly name: string;
  readonly module: ModuleModel;
  readonly description: string | null;
  /** It stands in a union alone: nothing else can refer to it. */
  readonly isOption: boolean;
  /** Set once, when its schema is read: a type may be named before. */
  shape: Shape | ObjectShape;
}

/** The types of one file. */
export interface ModuleModel {
  /** Folders and file, without ending, as they are called in the input. */
  readonly path: readonly string[];
  readonly description: string | null;
  readonly types: TypeModel[];
}

/** The shapes that a shape is made of, itself first, without going into types that it names. */
export function partsOf(shape: Shape | ObjectShape): (Shape | ObjectShape)[] {
  switch (shape.kind) {
    case "array":
      return [shape, ...partsOf(shape.of)];
    case "tuple":
      return [shape, ...shape.of.flatMap(partsOf), ...(shape.rest === null ? [] : partsOf(shape.rest))];
    case "map":
      return [shape, ...partsOf(shape.keys), ...partsOf(shape.values)];
    case "union":
      return [shape, ...shape.of.flatMap(partsOf)];
    case "object":
      return [shape, ...shape.fields.flatMap((field) => partsOf(field.shape))];
    default:
      return [shape];
  }
}

/** The types that a type names in its shape, each once. */
export function typesNamed(type: TypeModel): TypeModel[] {
  const bases = type.shape.kind === "object" ? type.shape.bases : [];
  const named = partsOf(type.shape).flatMap((shape) => (shape.kind === "named" ? [shape.type] : []));
  return [...new Set([...bases, ...named])];
}
