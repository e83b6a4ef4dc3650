import { once } from "node:events";
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import { parseStoreAddress, type SignedUpload } from "#shared/protocol/blobs.ts";

/**
 * Requests to the blob store itself. They carry what was signed and nothing else: the coordinator's token never goes to
 * another host. No redirect is followed. What goes wrong is a `StoreFailure`, upon which the bytes go through the
 * coordinator; its message names no signature.
 */
export class StoreFailure extends Error {
  override name = "StoreFailure";
  /** The store asks to be asked again in a moment, as it would the coordinator. */
  readonly busy: boolean;
  /** It was reached, and does not have the blob. */
  readonly absent: boolean;

  constructor(why: string, status = 0) {
    super(why);
    this.busy = status >= 500 || status === 429;
    this.absent = status === 404;
  }
}

export interface StoreDeps {
  readonly clock: Clock;
  /** Of the coordinator. When it is reached by TLS, so is the store. */
  readonly root: string;
}

type SignedPut = NonNullable<SignedUpload["put"]>;

/** The bytes, as they come. */
export async function getFromStore(deps: StoreDeps, url: string, signal?: AbortSignal): Promise<IncomingMessage> {
  const { answered, sent } = open(deps, url, { method: "GET", headers: {} }, signal);
  sent.end();
  const answer = await answered;
  if (answer.statusCode === 200) return answer;
  answer.destroy();
  throw new StoreFailure(`it answered ${answer.statusCode}`, answer.statusCode);
}

/** Resolves when the store has the bytes, also from before. */
export async function putIntoStore(
  deps: StoreDeps,
  put: SignedPut,
  body: { readonly bytes: number; readonly content: Uint8Array | Readable },
  signal?: AbortSignal,
): Promise<void> {
  const headers = { ...put.headers, "content-length": String(body.bytes) };
  const { answered, sent } = open(deps, put.url, { method: "PUT", headers }, signal);
  const { content } = body;
  if (content instanceof Uint8Array) sent.end(content);
  // A store that refuses may answer before all was sent, and cut: its answer is what counts.
  else void pipeline(content, sent).catch(() => {});
  try {
    const answer = await answered;
    const status = answer.statusCode ?? 0;
    answer.resume();
    // 412: it was there before, and is not replaced.
    if (status !== 412 && (status < 200 || status > 299)) throw new StoreFailure(`it answered ${status}`, status);
  } finally {
    if (!sent.writableFinished) sent.destroy();
    if (!(content instanceof Uint8Array)) await letGo(content);
  }
}

/** Its file may be closed after that: nothing reads it any more. */
async function letGo(content: Readable): Promise<void> {
  content.destroy();
  // What went wrong with the request has ended it too, and is told elsewhere.
  if (!content.closed) await once(content, "close").catch(() => undefined);
}

interface Opened {
  readonly sent: ClientRequest;
  readonly answered: Promise<IncomingMessage>;
}

function open(
  deps: StoreDeps,
  address: string,
  request: { method: string; headers: Record<string, string> },
  signal: AbortSignal | undefined,
): Opened {
  const url = parseStoreAddress(address, deps.root);
  if ("refused" in url) throw new StoreFailure(url.refused);
  const { request: start } = url.protocol === "https:" ? https : http;
  const sent = start(url, { ...request, timeout: limits.blobIdleMs, ...(signal ? { signal } : {}) });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sent.once("response", resolve);
    sent.on("error", (error: NodeJS.ErrnoException) => reject(new StoreFailure(error.code ?? error.message)));
  });
  sent.once("timeout", () => sent.destroy(new Error("nothing came for a while")));
  sent.once("socket", (socket) => {
    if (!socket.connecting) return;
    const late = deps.clock.after(limits.blobConnectMs, () =>
      sent.destroy(new Error("it did not take the connection")),
    );
    for (const event of ["connect", "close"]) socket.once(event, () => late.cancel());
  });
  return { sent, answered };
}
