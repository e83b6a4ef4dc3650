import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Texts } from "./texts.ts";

/** Edge: encoded values as files in work folders. */
export function textsOnDisk(): Texts {
  let count = 0;
  return {
    read: (path) => readFileSync(path, "utf8"),
    write(folder, text) {
      count += 1;
      const path = join(folder, `.salt-value-${process.pid}-${count}.json`);
      writeFileSync(path, text, { flag: "wx", mode: 0o600 });
      return path;
    },
  };
}
