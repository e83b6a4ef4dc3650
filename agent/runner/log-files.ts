import { closeSync, type FSWatcher, fstatSync, openSync, readSync, watch } from "node:fs";
import { join } from "node:path";
import type { LogFiles, StreamName } from "../ports.ts";

export function openLogFiles(folder: string, changed: () => void): LogFiles {
  const files: Record<StreamName, number> = {
    stdout: openSync(join(folder, "stdout"), "a+", 0o600),
    stderr: openSync(join(folder, "stderr"), "a+", 0o600),
  };
  let watcher: FSWatcher | null = null;
  try {
    watcher = watch(folder, { persistent: false }, changed);
    watcher.on("error", () => {});
  } catch {
    // Out of watches: output is still read with each answer and by the sweep.
  }
  return {
    size: (stream) => fstatSync(files[stream]).size,
    read: (stream, position, into) => readSync(files[stream], into, 0, into.length, position),
    close() {
      watcher?.close();
      closeSync(files.stdout);
      closeSync(files.stderr);
    },
  };
}
