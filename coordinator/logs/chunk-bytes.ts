import type { LogChunk } from "#shared/protocol/agent.ts";

/** The part of a chunk that is to be kept, cut out at byte boundaries. */
export interface Kept {
  readonly offset: number;
  readonly bytes: Buffer;
}

export const bytesOf = (chunk: LogChunk): Buffer =>
  chunk.base64 === undefined ? Buffer.from(chunk.text ?? "") : Buffer.from(chunk.base64, "base64");

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Bytes as text where they are UTF-8, else in base64. */
export function encodeBytes(bytes: Uint8Array): { readonly text: string } | { readonly base64: string } {
  try {
    return { text: decoder.decode(bytes) };
  } catch {
    return { base64: Buffer.from(bytes).toString("base64") };
  }
}
