import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { removeFolder } from "../data-folder.ts";
import type { Leases } from "../leases/leases.ts";
import type { AgentDeps } from "../options.ts";
import type { Remembered } from "../outbox/attempt-journal.ts";
import type { Values } from "./program-values.ts";
import type { Runner } from "./runner.ts";

export interface AdoptDeps extends AgentDeps {
  readonly folder: string;
  readonly runner: Runner;
  readonly leases: Leases;
  readonly remembered: Remembered;
  readonly values: Values;
}

/** Takes up the processes that an earlier life of the agent left (C18). */
export async function adoptProcesses(deps: AdoptDeps): Promise<void> {
  await mkdir(join(deps.folder, "values"), { recursive: true, mode: 0o700 });
  for (const name of await readdir(join(deps.folder, "processes")))
    await removeFolder(join(deps.folder, "processes", name));
  for (const name of await readdir(join(deps.folder, "values")))
    await rm(join(deps.folder, "values", name), { force: true });
}
