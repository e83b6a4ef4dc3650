import { Readable } from "node:stream";
import { SaltError } from "#shared/domain/errors.ts";
import type { Value } from "#shared/protocol/common.ts";
import type { BlobStore } from "../blobs/blobs.ts";

const asWeb = (stream: Readable): ReadableStream<Uint8Array> => Readable.toWeb(stream) as ReadableStream<Uint8Array>;

/** A value as JSON, wherever it is stored. */
export async function valueResponse(
  deps: { readonly blobs: BlobStore },
  value: Value,
  raw: Request,
): Promise<Response> {
  const headers = { "content-type": "application/json", "cache-control": "no-store" };
  if ("json" in value) return new Response(value.json, { headers });
  const sized = { ...headers, "content-length": String(value.bytes) };
  if (raw.method === "HEAD") return new Response(null, { headers: sized });
  const found = await deps.blobs.get(value.blob);
  if (!found) throw new SaltError("NotFound", `The blob of the value, ${value.blob}, is not in the blob store.`);
  return new Response(asWeb(found.stream), { headers: sized });
}
