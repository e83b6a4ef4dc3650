import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { Readable } from "node:stream";
import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";

/** The coordinator's blob store over HTTP. Bytes are verified on the way in here, and on the way out by the coordinator. */
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

const triesMax = 8;
const firstPauseMs = 100;
const pauseMsMax = 5_000;

export function createBlobClient(
  target: { readonly url: string; readonly token: string },
  deps: { clock: Clock; random: Random },
): BlobClient {
  const headers = { authorization: `Bearer ${target.token}` };
  // Of several coordinators, the one that the agent is connected to.
  const address = (sha256: Sha256) => `${target.url.replace(/\/+$/, "")}/v1/blobs/${sha256}`;

  const fetchOnce = async (sha256: Sha256, file: string, options: FetchOptions): Promise<{ bytes: number }> => {
    const response = await request(address(sha256), { headers, ...signalOf(options.signal) });
    if (response.body === null) throw new SaltError("Unreachable", `Cannot fetch blob ${sha256}: empty answer.`);
    const hash = createHash("sha256");
    const out = await open(file, "w", options.mode);
    let bytes = 0;
    try {
      for await (const chunk of response.body) {
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
  };

  const putOnce = async (sha256: Sha256, body: Uint8Array | { fd: number; bytes: number }, signal?: AbortSignal) => {
    const isFile = "fd" in body;
    const stream = isFile
      ? createReadStream("", { fd: body.fd, start: 0, end: body.bytes - 1, autoClose: false })
      : null;
    const init: RequestInit & { duplex: "half" } = {
      method: "PUT",
      headers: { ...headers, "content-type": "application/octet-stream" },
      body:
        stream === null
          ? (body as Uint8Array<ArrayBuffer>)
          : (Readable.toWeb(stream) as unknown as NonNullable<RequestInit["body"]>),
      duplex: "half",
      ...signalOf(signal),
    };
    const response = await request(address(sha256), init);
    await response.body?.cancel();
  };

  const retrying = async <T>(once: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
    for (let tries = 1; ; tries += 1) {
      try {
        return await once();
      } catch (error) {
        signal?.throwIfAborted();
        if (tries === triesMax || !(error instanceof SaltError) || !error.retryable) throw error;
        const pauseMs = deps.random.float() * Math.min(firstPauseMs * 2 ** tries, pauseMsMax);
        await new Promise<void>((resolve) => deps.clock.after(pauseMs, resolve));
      }
    }
  };

  return {
    fetchTo: (sha256, file, options) => retrying(() => fetchOnce(sha256, file, options), options.signal),
    put: (sha256, body, signal) => retrying(() => putOnce(sha256, body, signal), signal),
  };
}

const signalOf = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal });

async function request(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { redirect: "follow", ...init });
  } catch (cause) {
    throw new SaltError("Unreachable", `Cannot reach ${url}.`, { cause });
  }
  if (response.ok) return response;
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
