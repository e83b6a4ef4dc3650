import { z } from "zod";
import { sha256Schema } from "./common.ts";

/** The HTTP API's questions about blobs. */
export const blobsQuestionSchema = z.strictObject({ digests: z.array(sha256Schema).max(10_000) });
export const blobsMissingSchema = z.object({ missing: z.array(sha256Schema) });
export const blobStoredSchema = z.object({ sha256: sha256Schema, bytes: z.int() });
export const blobQuerySchema = z.object({ direct: z.literal("true").exactOptional() });
export const signUploadSchema = z.strictObject({ bytes: z.int().min(0) });
export const signedUploadSchema = z
  .object({
    /** Nothing needs to be sent. */
    present: z.boolean(),
    /** A PUT with exactly these headers, to the store itself; null when the bytes are to go through the coordinator. */
    put: z.object({ url: z.string(), headers: z.record(z.string(), z.string()) }).nullable(),
  })
  .meta({ id: "SignedUpload" });
export type SignedUpload = z.infer<typeof signedUploadSchema>;
