import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

/**
 * Writes files, given by relative names and texts, into a folder of their own below `parent`, and returns it. It is named by
 * a digest of them, and appears whole or not at all; where it is already, nothing is written.
 */
export function unpackFiles(files: Readonly<Record<string, string>>, parent: string): string {
  const digest = createHash("sha256").update(JSON.stringify(files)).digest("hex").slice(0, 32);
  const folder = path.join(parent, digest);
  if (existsSync(folder)) return folder;
  mkdirSync(parent, { recursive: true });
  const temporary = mkdtempSync(path.join(parent, "making-"));
  try {
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(temporary, name);
      mkdirSync(path.dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
    renameSync(temporary, folder);
  } catch (error) {
    // Another process may have been first.
    if (!existsSync(folder)) throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  return folder;
}
