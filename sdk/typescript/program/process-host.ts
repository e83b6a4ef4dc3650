import { createHash } from "node:crypto";
import { createReadStream, fstatSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import { inspect } from "node:util";
import type { Sha256 } from "#shared/domain/ids.ts";
import type { ProcessHost } from "./program.ts";
import { textsOnDisk } from "./texts-on-disk.ts";

/** Kinds of resource that outlive a task only by mistake. Sockets kept alive by a client are none of them. */
const leftoverKinds = new Set(["Timeout", "ProcessWrap", "TCPServerWrap", "PipeServerWrap", "MessagePort", "Worker"]);

/** Edge: the process around the tasks. */
export function processHost(): ProcessHost {
  const home = process.cwd();
  const environment = { ...process.env };
  let before = 0;
  return {
    texts: textsOnDisk(),
    enter({ folder }) {
      before = countLeftovers();
      if (process.cwd() !== folder) process.chdir(folder);
      if (process.env.TMPDIR !== folder) process.env.TMPDIR = folder;
    },
    leave() {
      if (process.cwd() !== home) process.chdir(home);
      restoreEnvironment(environment);
      return countLeftovers() <= before;
    },
    offsets: () => ({ stdout: sizeOf(1), stderr: sizeOf(2) }),
    async hashFile(folder, path) {
      const absolute = isAbsolute(path) ? path : resolve(folder, path);
      const hash = createHash("sha256");
      let bytes = 0;
      for await (const chunk of createReadStream(absolute) as AsyncIterable<Buffer>) {
        hash.update(chunk);
        bytes += chunk.length;
      }
      return { sha256: hash.digest("hex") as Sha256, bytes, path: absolute };
    },
    writeLine: (line) => void process.stdout.write(`${line}\n`),
    writeError: (error) => void process.stderr.write(`${inspect(error)}\n`),
    exit: (code) => process.exit(code),
    // Of the process group of whoever calls it: kill(2).
    kill: () => void process.kill(0, "SIGKILL"),
  };
}

function countLeftovers(): number {
  let count = 0;
  for (const kind of process.getActiveResourcesInfo()) if (leftoverKinds.has(kind)) count += 1;
  return count;
}

function restoreEnvironment(environment: NodeJS.ProcessEnv): void {
  for (const name of Object.keys(process.env)) {
    if (!Object.hasOwn(environment, name)) delete process.env[name];
  }
  for (const [name, value] of Object.entries(environment)) {
    if (process.env[name] !== value && value !== undefined) process.env[name] = value;
  }
}

/** The length of the file behind a descriptor; 0 when it is none. */
function sizeOf(descriptor: number): number {
  try {
    const { size } = fstatSync(descriptor);
    return size;
  } catch {
    return 0;
  }
}
