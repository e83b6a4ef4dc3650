import { createHash } from "node:crypto";
import { read } from "node:fs";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { promisify } from "node:util";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import { blobsMissingSchema, signedUploadSchema } from "#shared/protocol/blobs.ts";
import type { Logger } from "../options.ts";
import { createShortcut } from "./shortcut.ts";
import { getFromStore, putIntoStore } from "./store-requests.ts";

/**
 * The coordinator's blob store over HTTP: straight to and from the store where the coordinator says how, else through
 * the coordinator. Bytes are verified on the way in here, and on the way out by the coordinator or the store.
 */
export interface BlobClient {
  /**
   * Streams a blob into a new file and makes it durable. Thrown: `NotFound`, `DigestMismatch` (also for a download cut
   * short), `TooLarge` beyond `bytesMax`, `NoSpace`, `Unreachable` after the last try. The file is to be removed then.
   */
  fetchTo(sha256: Sha256, file: string, options: FetchOptions): Promise<{ bytes: number }>;
  /** Stores bytes, or an open file's. Thrown as above; `DigestMismatch` also when a file changed meanwhile. */
  put(sha256: Sha256, body: Uint8Array | { fd: number; bytes: number }, signal?: AbortSignal): Promise<void>;
}

export interface FetchOptions {
  readonly bytesMax: number;
  readonly mode: number;
  readonly signal?: AbortSignal;
}

const readAt = promisify(read);
const chunkBytes = 256 * 1024;
const triesMax = 8;
const firstPauseMs = 100;
const pauseMsMax = 5_000;

type Body = Uint8Array | { readonly fd: number; readonly bytes: number };

export interface BlobClientDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger?: Pick<Logger, "warn">;
}

export function createBlobClient(
  target: { readonly url: string; readonly token: string },
  deps: BlobClientDeps,
): BlobClient {
  // Of several coordinators, the one that the agent is connected to.
  const root = () => target.url.replace(/\/+$/, "");
  const headers = { authorization: `Bearer ${target.token}` };
  const address = (sha256: Sha256) => `${root()}/v1/blobs/${sha256}`;
  const storeDeps = () => ({ clock: deps.clock, root: root() });
  const shortcut = createShortcut(deps);

  const fetchDirect = async (sha256: Sha256, file: string, options: FetchOptions, tries: number) => {
    const init = { headers, redirect: "manual", ...signalOf(options.signal) } as const;
    const response = await request(`${address(sha256)}?direct=true`, init, 307);
    const location = response.headers.get("location");
    if (response.status !== 307 || location === null) return await receive(sha256, response.body, file, options);
    try {
      const answer = await getFromStore(storeDeps(), location, options.signal);
      return await receive(sha256, answer, file, options);
    } catch (error) {
      options.signal?.throwIfAborted();
      if (error instanceof SaltError && error.code === "NoSpace") throw error;
      shortcut.failed(error, tries);
      return null;
    }
  };

  const fetchOnce = async (sha256: Sha256, file: string, options: FetchOptions, tries: number) => {
    const direct = shortcut.isOpen() ? await fetchDirect(sha256, file, options, tries) : null;
    if (direct !== null) return direct;
    const response = await request(address(sha256), { headers, ...signalOf(options.signal) });
    return await receive(sha256, response.body, file, options);
  };

  const ask = async (path: string, question: object, signal: AbortSignal | undefined): Promise<unknown> => {
    const init = { method: "POST", headers: { ...headers, "content-type": "application/json" }, ...signalOf(signal) };
    return await (await request(`${root()}/v1/blobs/${path}`, { ...init, body: JSON.stringify(question) })).json();
  };

  /** Whether the coordinator says that the blob is there, without having had its bytes. */
  const putDirect = async (sha256: Sha256, body: Body, tries: number, signal: AbortSignal | undefined) => {
    const bytes = "fd" in body ? body.bytes : body.byteLength;
    const answer = await ask(`${sha256}/upload`, { bytes }, signal).catch(nullIfUnknown);
    const { present, put } = answer === null ? { present: false, put: null } : signedUploadSchema.parse(answer);
    if (present) return true;
    if (put === null) {
      shortcut.close();
      return false;
    }
    try {
      await putIntoStore(storeDeps(), put, { bytes, content: contentOf(body) }, signal);
    } catch (error) {
      signal?.throwIfAborted();
      shortcut.failed(error, tries);
      return false;
    }
    const { missing } = blobsMissingSchema.parse(await ask("missing", { digests: [sha256] }, signal));
    return missing.length === 0;
  };

  const putOnce = async (sha256: Sha256, body: Body, tries: number, signal: AbortSignal | undefined) => {
    if (shortcut.isOpen() && (await putDirect(sha256, body, tries, signal))) return;
    const content = contentOf(body);
    const init: RequestInit & { duplex: "half" } = {
      method: "PUT",
      headers: { ...headers, "content-type": "application/octet-stream" },
      body:
        content instanceof Readable
          ? (Readable.toWeb(content) as unknown as NonNullable<RequestInit["body"]>)
          : (content as Uint8Array<ArrayBuffer>),
      duplex: "half",
      ...signalOf(signal),
    };
    const response = await request(address(sha256), init);
    await response.body?.cancel();
  };

  const retrying = async <T>(once: (tries: number) => Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await once(tries);
      } catch (error) {
        signal?.throwIfAborted();
        if (tries === triesMax || !(error instanceof SaltError) || !error.retryable) throw error;
        const pauseMs = deps.random.float() * Math.min(firstPauseMs * 2 ** tries, pauseMsMax);
        await new Promise<void>((resolve) => deps.clock.after(pauseMs, resolve));
      }
    }
  };

  return {
    fetchTo: (sha256, file, options) => retrying((tries) => fetchOnce(sha256, file, options, tries), options.signal),
    put: (sha256, body, signal) => retrying((tries) => putOnce(sha256, body, tries, signal), signal),
  };
}

/** The body anew for each try. */
function contentOf(body: Body): Uint8Array | Readable {
  if (!("fd" in body)) return body;
  // An empty stream would be sent in chunks, which S3 does not take.
  return body.bytes === 0 ? new Uint8Array() : Readable.from(chunksOf(body), { objectMode: false });
}

/** Not by a stream of Node's, which closes the file when it is given up: it is its owner's to close. */
async function* chunksOf({ fd, bytes }: { readonly fd: number; readonly bytes: number }): AsyncGenerator<Uint8Array> {
  for (let position = 0; position < bytes; ) {
    const chunk = Buffer.allocUnsafe(Math.min(chunkBytes, bytes - position));
    const { bytesRead } = await readAt(fd, chunk, 0, chunk.length, position);
    if (bytesRead === 0) throw new Error("The file has become shorter.");
    position += bytesRead;
    yield chunk.subarray(0, bytesRead);
  }
}

/** Writes bytes into the file as they come, and makes it durable; they are verified whichever way they came. */
async function receive(
  sha256: Sha256,
  body: AsyncIterable<Uint8Array> | null,
  file: string,
  options: FetchOptions,
): Promise<{ bytes: number }> {
  if (body === null) throw new SaltError("Unreachable", `Cannot fetch blob ${sha256}: empty answer.`);
  const hash = createHash("sha256");
  const out = await open(file, "w", options.mode);
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += chunk.byteLength;
      if (bytes > options.bytesMax) {
        throw new SaltError("TooLarge", `Cannot fetch blob ${sha256}: it exceeds ${options.bytesMax} bytes.`);
      }
      hash.update(chunk);
      await out.write(chunk);
    }
    await out.sync();
  } catch (error) {
    throw asFetchError(error, sha256);
  } finally {
    await out.close();
  }
  const found = hash.digest("hex");
  if (found !== sha256) {
    throw new SaltError("DigestMismatch", `Cannot use blob ${sha256}: the ${bytes} bytes received are of ${found}.`, {
      retryable: true,
    });
  }
  return { bytes };
}

/** A coordinator of before there was such a question. */
function nullIfUnknown(error: unknown): null {
  if (error instanceof SaltError && error.code === "NotFound") return null;
  throw error;
}

const signalOf = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal });

async function request(url: string, init: RequestInit, alsoStatus?: number): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { redirect: "follow", ...init });
  } catch (cause) {
    throw new SaltError("Unreachable", `Cannot reach ${url}.`, { cause });
  }
  if (response.ok || response.status === alsoStatus) return response;
  const detail = (await response.text().catch(() => "")).slice(0, 500);
  const message = `The coordinator answered ${response.status} for ${url}: ${detail}`;
  if (response.status === 404) throw new SaltError("NotFound", message);
  if (response.status === 413) throw new SaltError("TooLarge", message);
  if (response.status === 422) throw new SaltError("DigestMismatch", message);
  if (response.status === 401 || response.status === 403) throw new SaltError("NotAllowed", message);
  throw new SaltError("Unavailable", message);
}

function asFetchError(error: unknown, sha256: Sha256): unknown {
  if (error instanceof SaltError) return error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new SaltError("NoSpace", `Cannot store blob ${sha256}: the disk is full.`, { cause: error });
  }
  return new SaltError("Unreachable", `The download of blob ${sha256} broke off.`, { cause: error });
}
