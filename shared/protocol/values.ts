import { z } from "zod";
import { limits } from "../domain/limits.ts";
import { callKeySchema, sha256Schema } from "./common.ts";

/**
 * The JSON that stands in a value's text: plain JSON, and for what JSON lacks an object of `$salt` and `v` alone. A key of
 * the user's own that is `$salt` is written with one more `$`. `shared/values/` reads and writes it; this is for others.
 */
const tagged = <Tag extends string, V extends z.ZodType>(tag: Tag, v: V) =>
  z.strictObject({ $salt: z.literal(tag), v });

const json: z.ZodType = z.lazy(() => encodedValueSchema);

export const taggedSchemas = {
  TaggedDate: tagged(
    "date",
    z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/),
  ).describe("A time, RFC 3339, years 1 to 9999."),
  TaggedBytes: tagged("bytes", z.base64()).describe("Bytes, in base64."),
  TaggedBigint: tagged("bigint", z.string().regex(/^(0|-?[1-9]\d*)$/)).describe("An integer of any size, in decimal."),
  TaggedDecimal: tagged("decimal", z.string().regex(/^-?\d+(\.\d+)?([eE][+-]?\d{1,9})?$/)).describe(
    "An exact decimal number, as it was written.",
  ),
  TaggedMap: tagged("map", z.array(z.tuple([json, json]))).describe("A map: pairs of key and value, in order."),
  TaggedSet: tagged("set", z.array(json)).describe("A set: its members, in order."),
  TaggedUuid: tagged("uuid", z.string().regex(/^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$/)).describe(
    "A UUID.",
  ),
  TaggedDuration: tagged("duration", z.string().regex(/^-?PT\d+(\.\d{1,6})?S$/)).describe(
    "A length of time: `PT90.5S`.",
  ),
  TaggedRef: tagged("ref", callKeySchema).describe("The output of another call of the run, by its key."),
  TaggedFile: tagged(
    "file",
    z.object({
      sha256: sha256Schema,
      bytes: z.int().min(0).max(limits.fileBytesMax),
      name: z.string().exactOptional(),
      mediaType: z.string().exactOptional(),
    }),
  ).describe("Bytes in the blob store."),
  TaggedError: tagged(
    "error",
    z.object({ type: z.string(), message: z.string(), cause: json.exactOptional() }),
  ).describe("An error: its class, its message, and perhaps what caused it."),
} as const;

export const encodedValueSchema: z.ZodType = z
  .union([
    z.null(),
    z.boolean(),
    z.number(),
    z.string(),
    z.array(json),
    ...Object.values(taggedSchemas),
    z.record(z.string().regex(/^(?!\$salt$)/), json),
  ])
  .describe("A value as it stands in its text.");
