import { Readable } from "node:stream";
import type { ReadableStream as WebStream } from "node:stream/web";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { ApiDeps, Handlers } from "./handlers.ts";

type BlobHandlers = Pick<Handlers, "findMissingBlobs" | "signUpload" | "putBlob" | "getBlob">;

/** Bytes by digest. A digest that is no digest never comes here: the path's parameter is checked before. */
export function blobHandlers(deps: ApiDeps): BlobHandlers {
  return {
    async findMissingBlobs({ body }) {
      const sizes = await deps.blobs.has(body.digests);
      return { missing: body.digests.filter((_, index) => (sizes[index] ?? null) === null) };
    },

    async signUpload({ params, body }) {
      requireFileSize(body.bytes);
      const sha256 = params.sha256 as Sha256;
      const [size] = await deps.blobs.has([sha256]);
      if (typeof size === "number") return { present: true, put: null };
      const want = { method: "PUT", bytes: body.bytes } as const;
      return { present: false, put: await deps.blobs.presign(sha256, want, limits.presignedTtlMs) };
    },

    async putBlob({ params, raw }) {
      requireFileSize(Number(raw.headers.get("content-length") ?? 0));
      const sha256 = params.sha256 as Sha256;
      const body = raw.body ? Readable.fromWeb(raw.body as WebStream<Uint8Array>) : new Uint8Array(0);
      const { bytes } = await deps.blobs.put(sha256, body, limits.fileBytesMax);
      return { sha256, bytes };
    },

    async getBlob({ params, query, raw }) {
      const sha256 = params.sha256 as Sha256;
      const elsewhere = query.direct && raw.method === "GET" ? await redirect(deps, sha256) : null;
      return elsewhere ?? (await getBlob(deps, sha256, raw));
    },
  };
}

function requireFileSize(bytes: number): void {
  if (bytes <= limits.fileBytesMax) return;
  throw new SaltError(
    "TooLarge",
    `Cannot store the blob: it has ${bytes} bytes, at most ${limits.fileBytesMax} (fileBytesMax) are allowed.`,
  );
}

/** Whether the store has the blob is not looked at: who is sent there in vain asks again without `direct`. */
async function redirect(deps: ApiDeps, sha256: Sha256): Promise<Response | null> {
  const signed = await deps.blobs.presign(sha256, { method: "GET" }, limits.presignedTtlMs);
  if (signed === null) return null;
  return new Response(null, { status: 307, headers: { location: signed.url, "cache-control": "no-store" } });
}

async function getBlob(deps: ApiDeps, sha256: Sha256, raw: Request): Promise<Response> {
  const [size] = await deps.blobs.has([sha256]);
  if (size === null || size === undefined) throw new SaltError("NotFound", `There is no blob ${sha256}.`);
  const headers = {
    "content-type": "application/octet-stream",
    "accept-ranges": "bytes",
    "cache-control": "private, max-age=31536000, immutable",
    "x-content-type-options": "nosniff",
    etag: `"${sha256}"`,
  };
  if (raw.headers.get("if-none-match") === headers.etag) return new Response(null, { status: 304, headers });
  const range = rangeOf(raw.headers.get("range"), size);
  if (range === "unsatisfiable") {
    return new Response(null, { status: 416, headers: { ...headers, "content-range": `bytes */${size}` } });
  }
  const { start, end } = range ?? { start: 0, end: size };
  const sized = { ...headers, "content-length": String(end - start) };
  const status = range ? 206 : 200;
  const partial = range ? { "content-range": `bytes ${start}-${end - 1}/${size}` } : {};
  if (raw.method === "HEAD") return new Response(null, { status, headers: { ...sized, ...partial } });
  const found = await deps.blobs.get(sha256, { start, end });
  if (!found) throw new SaltError("NotFound", `There is no blob ${sha256}.`);
  const stream = Readable.toWeb(found.stream) as ReadableStream<Uint8Array>;
  return new Response(stream, { status, headers: { ...sized, ...partial } });
}

/** One byte range (RFC 9110, section 14.1.2). Several, or another unit, are passed over, as the RFC allows. */
function rangeOf(header: string | null, size: number): { start: number; end: number } | "unsatisfiable" | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? "");
  if (!match || (match[1] === "" && match[2] === "")) return null;
  const [, first = "", last = ""] = match;
  if (first === "") {
    const suffix = Math.min(Number(last), size);
    return suffix === 0 ? "unsatisfiable" : { start: size - suffix, end: size };
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  if (last !== "" && Number(last) < start) return null;
  return start >= size ? "unsatisfiable" : { start, end };
}
