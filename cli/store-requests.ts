import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SaltError } from "#shared/domain/errors.ts";
import { type Sha256, sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { parseStoreAddress, type SignedUpload } from "#shared/protocol/blobs.ts";

/**
 * Requests to the blob store itself. They carry what the coordinator has signed and nothing else, so that the token goes
 * to the coordinator alone, and follow no redirect. What goes wrong is `Unreachable`, with a message that names no
 * signature: the bytes then go through the coordinator.
 */
export interface StoreOptions {
  readonly coordinatorUrl: string;
  readonly signal?: AbortSignal;
}

/** Puts bytes into the store; what it has already is fine. */
export async function putIntoStore(
  put: NonNullable<SignedUpload["put"]>,
  body: { readonly stream: Readable; readonly bytes: number },
  options: StoreOptions,
): Promise<void> {
  const headers = { ...put.headers, "content-length": String(body.bytes) };
  const { url, sent, answered } = open(put.url, { method: "PUT", headers }, options);
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

/** The text of a blob of so many bytes, verified. */
export async function getFromStore(
  address: string,
  blob: { readonly sha256: Sha256; readonly bytes: number },
  options: StoreOptions,
): Promise<string> {
  const { url, sent, answered } = open(address, { method: "GET", headers: {} }, options);
  sent.end();
  const answer = await answered;
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    if (answer.statusCode !== 200) throw failure(url, `it answered ${answer.statusCode}`);
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > blob.bytes) throw failure(url, "it sends more bytes than the blob has");
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof SaltError ? error : failure(url, (error as Error).message);
  } finally {
    answer.destroy();
  }
  const text = Buffer.concat(chunks);
  if (sha256(text) === blob.sha256) return text.toString("utf8");
  throw failure(url, "its bytes are not those of the blob");
}

function open(
  address: string,
  request: { readonly method: string; readonly headers: Record<string, string> },
  { coordinatorUrl, signal }: StoreOptions,
): { url: URL; sent: ClientRequest; answered: Promise<IncomingMessage> } {
  const url = parseStoreAddress(address, coordinatorUrl);
  if ("refused" in url) throw failure(null, url.refused);
  const { request: start } = url.protocol === "https:" ? https : http;
  const sent = start(url, { ...request, timeout: limits.blobIdleMs, ...(signal ? { signal } : {}) });
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
  return { url, sent, answered };
}

const failure = (url: URL | null, why: string): SaltError =>
  new SaltError("Unreachable", `Cannot use the blob store${url === null ? "" : ` at ${url.origin}`}: ${why}.`);
