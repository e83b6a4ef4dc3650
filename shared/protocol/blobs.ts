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

/**
 * The address of a signed request to the blob store itself, which a client follows to another host than its
 * coordinator's: HTTP or HTTPS alone, and HTTPS where the coordinator is reached so. `refused` says why it is not followed.
 */
export function parseStoreAddress(address: string, coordinatorUrl: string): URL | { readonly refused: string } {
  const url = URL.parse(address, coordinatorUrl);
  if (url === null || !/^https?:$/.test(url.protocol)) return { refused: "its address is not one of HTTP" };
  if (url.protocol === "https:" || !coordinatorUrl.startsWith("https:")) return url;
  return { refused: `${url.origin} is not reached by TLS, as the coordinator is` };
}
