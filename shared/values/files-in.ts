import type { Sha256 } from "../domain/ids.ts";

const digestPattern = /"sha256"\s*:\s*"([0-9a-f]{64})"/g;
/** Longer than what names a digest, so that none is missed where two parts of a text meet. */
const overlapChars = 200;

/**
 * The digests of the files in an encoded value, each once. It may name one too many: a value's own field may look like
 * a file's. It names them all, as long as the encoder does not escape letters that need no escape.
 */
export function filesIn(json: string): Sha256[] {
  if (!json.includes('"$salt"') || !json.includes('"sha256"')) return [];
  return [...new Set([...json.matchAll(digestPattern)].map(([, digest]) => digest as Sha256))];
}

/** The same of a text in UTF-8. Most have none, and are not looked at as text. */
export function filesInBytes(bytes: Uint8Array): Sha256[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return text.includes('"sha256"') ? filesIn(text.toString()) : [];
}

/** The same of a text that comes in parts. */
export class FileFinder {
  readonly #found = new Set<Sha256>();
  #tail = "";

  add(part: Buffer): void {
    const text = this.#tail + part.toString("latin1");
    if (text.includes('"sha256"')) {
      for (const [, digest] of text.matchAll(digestPattern)) this.#found.add(digest as Sha256);
    }
    this.#tail = text.slice(-overlapChars);
  }

  get files(): Sha256[] {
    return [...this.#found];
  }
}
