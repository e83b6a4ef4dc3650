import { Readable, pipeline as startPipeline } from "node:stream";
import { GetObjectCommand, type GetObjectCommandOutput, HeadObjectCommand } from "@aws-sdk/client-s3";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { createVerifier } from "../verifier.ts";
import { isAbsent, statusOf } from "./s3-error.ts";
import type { S3Store } from "./s3-store.ts";

const firstPauseMs = 50;

interface Part {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/** As `BlobStore.get`. An answer that breaks off is asked for again from where it broke off. */
export async function readObject(
  store: S3Store,
  sha256: Sha256,
  range: { readonly start: number; readonly end?: number } | undefined,
): Promise<{ bytes: number; stream: Readable } | null> {
  const start = range?.start ?? 0;
  if (range?.end !== undefined && range.end <= start) {
    return (await sizeOfObject(store, sha256)) === null ? null : { bytes: 0, stream: Readable.from([]) };
  }
  const first = await store.attempt(`read blob ${sha256}`, () => askFor(store, sha256, { start, end: range?.end }));
  if (first === null) return null;
  const { bytes, total } = first;
  const chunks = chunksOf(store, sha256, first, { start, end: start + bytes });
  if (bytes < total) return { bytes, stream: chunks };
  const verifier = createVerifier(sha256, bytes);
  startPipeline(chunks, verifier.stream, () => {});
  return { bytes, stream: verifier.stream };
}

/** Null when there is no such blob. */
export async function sizeOfObject(store: S3Store, sha256: Sha256): Promise<number | null> {
  const command = new HeadObjectCommand(store.keyOf(sha256));
  return await store.attempt(`look for blob ${sha256}`, async () => {
    try {
      return (await store.client.send(command)).ContentLength ?? null;
    } catch (error) {
      // The answer to HEAD has no body that would say so by name.
      if (isAbsent(error)) return null;
      throw error;
    }
  });
}

interface Answer {
  readonly body: Readable;
  readonly bytes: number;
  /** Of the whole blob. */
  readonly total: number;
}

async function askFor(
  store: S3Store,
  sha256: Sha256,
  part: { start: number; end: number | undefined },
): Promise<Answer | null> {
  const ranged = part.start > 0 || part.end !== undefined;
  const Range = `bytes=${part.start}-${part.end === undefined ? "" : part.end - 1}`;
  const command = new GetObjectCommand({ ...store.keyOf(sha256), ...(ranged ? { Range } : {}) });
  try {
    return answerOf(await store.client.send(command));
  } catch (error) {
    if (isAbsent(error)) return null;
    // Where the range begins, the blob has ended: as it does at once when it is empty.
    if (statusOf(error) === 416) return { body: Readable.from([]), bytes: 0, total: part.start === 0 ? 0 : Infinity };
    throw error;
  }
}

function answerOf(output: GetObjectCommandOutput): Answer {
  const bytes = output.ContentLength ?? 0;
  const total = Number(/\/(\d+)$/.exec(output.ContentRange ?? "")?.[1] ?? bytes);
  return { body: output.Body as Readable, bytes, total };
}

function chunksOf(store: S3Store, sha256: Sha256, first: Answer, { start, end }: Part): Readable {
  let body = first.body;
  async function* follow(): AsyncGenerator<Uint8Array> {
    let position = start;
    for (let inVain = 0; ; inVain += 1) {
      try {
        for await (const chunk of body as AsyncIterable<Uint8Array>) {
          position += chunk.byteLength;
          inVain = 0;
          yield chunk;
        }
        if (position >= end) return;
        throw Object.assign(new Error("The answer ended too early."), { code: "ECONNRESET" });
      } catch (error) {
        if (inVain >= limits.blobTriesMax || stream.destroyed) throw error;
      }
      await pause(store, inVain);
      const next = await askFor(store, sha256, { start: position, end });
      if (next === null) throw Object.assign(new Error("The blob is gone."), { code: "ENOENT" });
      body = next.body;
    }
  }
  const chunks = async function* () {
    // What the generator throws reaches the reader through the stream.
    const named = follow();
    for (;;) {
      const { done, value } = await store.attempt(`read blob ${sha256}`, () => named.next());
      if (done) return;
      yield value;
    }
  };
  const stream = Readable.from(chunks(), { objectMode: false });
  // A reader that leaves while nothing comes would else wait for the store.
  stream.once("close", () => body.destroy());
  return stream;
}

/** None after bytes have come: the answer was only cut. */
const pause = (store: S3Store, inVain: number): Promise<void> | undefined =>
  inVain === 0 ? undefined : new Promise((resolve) => void store.clock.after(firstPauseMs * 2 ** inVain, resolve));
