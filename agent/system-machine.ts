import { rmSync } from "node:fs";
import { createServer } from "node:net";
import { createBinaryFiles } from "./cache/binary-files.ts";
import { createBlobClient } from "./cache/blob-client.ts";
import { findPythons } from "./cache/find-pythons.ts";
import { systemPexFiles } from "./cache/pex-files.ts";
import { dialCoordinator } from "./connection/dial.ts";
import { openDataFolder } from "./data-folder.ts";
import { keepProcessAlive } from "./keep-alive.ts";
import type { Machine, Processes } from "./ports.ts";
import { bootId, identifyProcess, launchProgram, readExit, signalGroup } from "./runner/launch.ts";
import { openLogFiles } from "./runner/log-files.ts";
import { createValues } from "./runner/program-values.ts";
import { SystemWorkFolders } from "./runner/work-folders.ts";
import { systemDisk } from "./system-disk.ts";

const systemProcesses: Processes = {
  bootId,
  launch: launchProgram,
  signalGroup,
  identify: identifyProcess,
  readExit,
  listen,
  openLogFiles,
  openWorkFolders: (root, given) =>
    given === undefined ? SystemWorkFolders.create(root) : SystemWorkFolders.adopt(root, given),
};

/** They are asked once: what is installed later is found at the next start. */
let foundPythons: ReturnType<Machine["findPythons"]> | null = null;

/** The machine that the agent's process is on. */
export const systemMachine: Machine = {
  dial: dialCoordinator,
  disk: systemDisk,
  processes: systemProcesses,
  openDataFolder,
  createBlobClient,
  createBinaryFiles,
  findPythons() {
    foundPythons ??= findPythons();
    return foundPythons;
  },
  pexFiles: systemPexFiles,
  createValues,
  keepAlive: keepProcessAlive,
};

async function listen(path: string, met: Parameters<Processes["listen"]>[1]): Promise<{ close(): void }> {
  rmSync(path, { force: true });
  const server = createServer(met);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      resolve();
    });
  });
  server.on("error", () => {});
  return {
    close() {
      server.close();
      rmSync(path, { force: true });
    },
  };
}
