import type { BlobStore } from "#coordinator/blobs/blobs.ts";
import type { Engine } from "#coordinator/engine/engine.ts";
import { createMemoryEngine } from "#coordinator/engine/memory/memory-engine.ts";
import { type Journey, joinStages } from "#coordinator/journey.ts";
import { projectKey, type RunRecord, releaseKey, runKey } from "#coordinator/records.ts";
import { projectPartition } from "#coordinator/state/projects.ts";
import { type RunId, sha256 } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import type { TaskOptions } from "#shared/protocol/common.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { memoryBlobs } from "./memory-blobs.ts";

const anything = true as const;

/** A coordinator's stages on the in-memory engine, with one registered project `demo`. */
export async function startJourney(
  options: {
    engine?: Engine;
    /** Where the project is registered. Default: `engine`. */
    register?: Engine;
    clock?: Clock;
    partitions?: number;
    blobs?: BlobStore;
    tasks?: Record<string, TaskOptions>;
    workflows?: Record<string, object>;
  } = {},
): Promise<
  Journey & { engine: Engine; open(workflow?: string): Promise<RunId>; read(run: RunId): Promise<RunRecord> }
> {
  const clock = options.clock ?? systemClock;
  const partitions = options.partitions ?? 1;
  const engine = options.engine ?? createMemoryEngine({ clock });
  const journey = joinStages({
    engine,
    blobs: options.blobs ?? memoryBlobs(),
    clock,
    random: systemRandom,
    partitions,
    shared: options.engine !== undefined,
    logger: { info: () => undefined, warn: (fields, message) => console.warn(message, fields) },
  });
  const partition = projectPartition(partitions, "demo");
  const tasks = Object.entries(options.tasks ?? { work: {}, other: {} });
  const workflows = Object.entries(options.workflows ?? { main: {}, child: {} });
  const manifest = {
    salt: 1,
    project: "demo",
    description: {
      protocol: 1,
      sdk: { language: "none", version: "0" },
      workflows: workflows.map(([name, more]) => ({ name, input: anything, output: anything, ...more })),
      tasks: tasks.map(([name, more]) => ({ name, input: anything, output: anything, checks: [], options: more })),
    },
    triggers: [],
    binaries: { "linux-x64": { sha256: sha256("binary"), bytes: 1 } },
  };
  const release = { id: "rel_1", manifest, createdAtMs: 0, createdBy: "test" };
  const project = { name: "demo", release: "rel_1", updatedAtMs: 0 };
  await (options.register ?? engine).commit(partition, [
    {
      checks: [],
      writes: [
        {
          kind: "set",
          key: releaseKey(partition, "rel_1"),
          stamp: `r${Math.random()}`,
          value: JSON.stringify(release),
        },
        { kind: "set", key: projectKey(partition, "demo"), stamp: `p${Math.random()}`, value: JSON.stringify(project) },
      ],
    },
  ]);
  journey.start();
  return {
    ...journey,
    engine,
    async open(workflow = "main") {
      const trigger = { kind: "manual", name: null, by: "test" } as const;
      return (await journey.runs.openRun({ project: "demo", workflow, input: { json: "{}" }, trigger })).run;
    },
    async read(run) {
      const { found } = await engine.get([runKey(run)]);
      return JSON.parse(found[0]?.value ?? "null") as RunRecord;
    },
  };
}
