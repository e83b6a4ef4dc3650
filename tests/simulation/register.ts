import { createMover } from "#coordinator/engine/mover.ts";
import { createRegistry } from "#coordinator/registry/registry.ts";
import { createTriggerPlanner } from "#coordinator/triggers/triggers.ts";
import { describeProject } from "#sdk/declare/describe-project.ts";
import { declared } from "#sdk/declare/registry.ts";
import type { Trigger } from "#shared/protocol/manifest.ts";
import type { Cluster } from "./cluster.ts";
import { Life } from "./life.ts";

const binary = "the binary of the simulated project";

/** Registers the project before anything fails: how that goes wrong is not what is looked at here. */
export async function register(cluster: Cluster, triggers: readonly Trigger[] = []): Promise<void> {
  const { room, scheduler, blobs, plan } = cluster;
  const { clock } = new Life("registrar", scheduler, room.wall, 0);
  const random = cluster.random("registrar");
  const mover = createMover({ engine: room.direct, clock, random });
  const registry = createRegistry({
    mover,
    engine: room.direct,
    blobs: blobs.store(),
    partitions: plan.partitions,
    triggers: createTriggerPlanner({ clock, random }),
  });
  const entry = { sha256: blobs.put(binary), bytes: binary.length };
  const platforms = ["linux-x64", "linux-arm64", "darwin-arm64", "darwin-x64"] as const;
  const manifest = {
    salt: 1,
    project: "demo",
    description: describeProject(declared),
    triggers,
    binaries: Object.fromEntries(platforms.map((platform) => [platform, entry])),
  };
  let registered = false;
  const registering = registry.registerRelease({ manifest, by: "registrar" }).then(() => {
    registered = true;
  });
  await scheduler.runUntil(scheduler.nowMs + 10_000, () => registered);
  await registering;
  mover.close();
}
