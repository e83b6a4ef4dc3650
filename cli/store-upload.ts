import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { SignedUpload } from "#shared/protocol/blobs.ts";

/**
 * Puts bytes into the blob store itself by a request that the coordinator has signed; what the store has already is
 * fine. Sends what was signed and nothing else, so that the token goes to the coordinator alone; follows no redirect.
 * Thrown: `Unreachable`, with a message that names no signature.
 */
export async function putIntoStore(
  put: NonNullable<SignedUpload["put"]>,
  body: { readonly stream: Readable; readonly bytes: number },
  options: { readonly coordinatorUrl: string; readonly signal?: AbortSignal },
): Promise<void> {
  const url = requireSafe(put.url, options.coordinatorUrl);
  const { request: start } = url.protocol === "https:" ? https : http;
  const headers = { ...put.headers, "content-length": String(body.bytes) };
  const { signal } = options;
  const sent = start(url, { method: "PUT", headers, timeout: limits.blobIdleMs, ...(signal ? { signal } : {}) });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once("response", resolve);
    sent.on("error", (error: NodeJS.ErrnoException) => {
      reject(signal?.aborted ? error : failure(url, error.code ?? error.message));
    });
  });
  sent.once("timeout", () => sent.destroy(new Error("nothing came for a while")));
  sent.once("socket", (socket) => {
    if (!socket.connecting) return;
    const late = setTimeout(() => sent.destroy(new Error("it takes no connection")), limits.blobConnectMs);
    for (const event of ["connect", "close"]) socket.once(event, () => clearTimeout(late));
  });
  // A store that refuses may answer before all was sent, and cut: its answer is what counts.
  void pipeline(body.stream, sent).catch(() => {});
  try {
    const answer = await answered;
    answer.resume();
    const status = answer.statusCode ?? 0;
    if (status !== 412 && (status < 200 || status > 299)) throw failure(url, `it answered ${status}`);
  } finally {
    if (!sent.writableFinished) sent.destroy();
    body.stream.destroy();
  }
}

/** Bytes that would go to the coordinator by TLS do not go to the store without. */
function requireSafe(address: string, coordinatorUrl: string): URL {
  const url = URL.parse(address);
  if (url === null || !/^https?:$/.test(url.protocol)) throw failure(null, "its address is not one of HTTP");
  if (url.protocol === "https:" || !coordinatorUrl.startsWith("https:")) return url;
  throw failure(url, "it is not reached by TLS, as the coordinator is");
}

const failure = (url: URL | null, why: string): SaltError =>
  new SaltError("Unreachable", `Cannot upload to the blob store${url === null ? "" : ` at ${url.origin}`}: ${why}.`);
