import { limits } from "#shared/domain/limits.ts";
import type { ProgramValue } from "#shared/protocol/task.ts";

/** Port to the files of a work folder that hold encoded values too large for a line. Synchronous: order depends on it. */
export interface Texts {
  read(path: string): string;
  /** Writes a new file in `folder` and answers its absolute path. */
  write(folder: string, text: string): string;
}

export const textOf = (texts: Texts, value: ProgramValue): string =>
  "json" in value ? value.json : texts.read(value.path);

/** Inline up to 16 KiB of UTF-8, beyond that a file in the work folder. */
export function toProgramValue(texts: Texts, folder: string, text: string): ProgramValue {
  if (text.length * 3 <= limits.inlineBytesMax) return { json: text };
  const bytes = Buffer.byteLength(text);
  return bytes <= limits.inlineBytesMax ? { json: text } : { path: texts.write(folder, text), bytes };
}

/** The size in bytes when it is beyond what a value may have, else null. */
export function oversize(text: string): number | null {
  if (text.length * 3 <= limits.valueBytesMax) return null;
  const bytes = Buffer.byteLength(text);
  return bytes > limits.valueBytesMax ? bytes : null;
}
