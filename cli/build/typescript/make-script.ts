import { createHash } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Sha256 } from "#shared/domain/ids.ts";

/** Kernels read so many bytes of a first line for certain. */
const firstLineBytesMax = 127;

const firstLine = (node: string): string => `#!${node} --enable-source-maps\n`;

/** Whether a file can name this Node as what reads it. */
export const canScript = (node: string): boolean =>
  process.platform !== "win32" && !/\s/.test(node) && Buffer.byteLength(firstLine(node)) <= firstLineBytesMax;

/**
 * Writes the bundle as a program that this machine's Node reads: it behaves as the executable does, and is two hundred
 * times smaller. The folder it is executed from must not say that its files are CommonJS.
 */
export async function makeScript(
  bundle: string,
  output: string,
  node: string,
): Promise<{ readonly sha256: Sha256; readonly bytes: number }> {
  // In place of the bundle's first line, so that its source map still fits.
  const bytes = Buffer.from(firstLine(node) + bundle.slice(bundle.indexOf("\n") + 1));
  await mkdir(path.dirname(output), { recursive: true });
  // A file left behind would keep its own mode.
  await rm(output, { force: true });
  await writeFile(output, bytes, { mode: 0o755 });
  return { sha256: createHash("sha256").update(bytes).digest("hex") as Sha256, bytes: bytes.byteLength };
}
