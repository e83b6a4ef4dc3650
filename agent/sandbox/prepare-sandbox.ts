import { join } from "node:path";
import type { Disk } from "../ports.ts";

/**
 * The seam of isolation: what stands between a program and the machine. So far: a cleared environment and folders of
 * its own.
 */
export interface Sandbox {
  readonly folder: string;
  /** The program's home and first working directory. */
  readonly workFolder: string;
  readonly valuesFolder: string;
  readonly logFolder: string;
  readonly env: Readonly<Record<string, string>>;
  /** Removes everything that was made. */
  remove(): Promise<void>;
}

export interface SandboxOptions {
  readonly folder: string;
  readonly socket: string;
  readonly session: string;
  readonly env: Readonly<Record<string, string>>;
}

export function sandboxFolders(folder: string) {
  return {
    workFolder: join(folder, "work", "0"),
    temporaryFolder: join(folder, "tmp"),
    valuesFolder: join(folder, "values"),
    logFolder: join(folder, "logs"),
  };
}

export async function prepareSandbox(disk: Disk, options: SandboxOptions): Promise<Sandbox> {
  const { folder } = options;
  const { workFolder, temporaryFolder, valuesFolder, logFolder } = sandboxFolders(folder);
  for (const path of [workFolder, temporaryFolder, valuesFolder, logFolder]) {
    await disk.makeFolder(path);
  }
  const env = {
    PATH: "/usr/local/bin:/usr/bin:/bin",
    LANG: "C.UTF-8",
    ...options.env,
    HOME: workFolder,
    TMPDIR: temporaryFolder,
    SALT_SOCKET: options.socket,
    SALT_SESSION: options.session,
  };
  return { folder, workFolder, valuesFolder, logFolder, env, remove: () => disk.remove(folder) };
}
