import { SaltError } from "#shared/domain/errors.ts";
import type { ModuleModel, TypeModel } from "./model.ts";

/** One schema with what it defines in `$defs`. */
export interface SchemaDocument {
  /** What messages call it: its file, or what it is the schema of. */
  readonly label: string;
  /** What `$ref`s are relative to, and how others refer to it. */
  readonly url: string;
  readonly schema: unknown;
  /** Where its types go. Several documents may have one. */
  readonly module: ModuleModel;
}

/** A type that a document defines by name, and so one that a `$ref` can mean. */
export interface Declared {
  readonly type: TypeModel;
  readonly document: SchemaDocument;
  readonly pointer: string;
  readonly schema: unknown;
}

export interface Build {
  /** By the document's address, `#` and the JSON pointer. */
  readonly declared: ReadonlyMap<string, Declared>;
  /** The names of each module's types. */
  readonly taken: Map<ModuleModel, Set<string>>;
  readonly natives: boolean;
}

/** Where in a document the reader is. `name` is what an object there is called if it has no title. */
export interface Place {
  readonly build: Build;
  readonly document: SchemaDocument;
  readonly pointer: string;
  readonly name: string;
  readonly depth: number;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const pointerStep = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1");

export function descriptionOf(schema: unknown): string | null {
  const text = isRecord(schema) ? schema.description : undefined;
  return typeof text === "string" && text.trim() !== "" ? text : null;
}

export const invalid = (document: SchemaDocument, pointer: string, problem: string, next?: string): SaltError =>
  new SaltError("InvalidInput", `Cannot make types of ${document.label}#${pointer}: ${problem}.`, {
    next: next ?? "correct the schema; docs/generated-code.md lists what is supported",
  });
