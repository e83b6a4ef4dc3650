import { SaltError } from "#shared/domain/errors.ts";
import { partitionAt } from "#shared/domain/ids.ts";
import { type Engine, keyIn } from "./engine/engine.ts";

export const partitionsDefault = 16;
/** What an id has digits for. */
export const partitionsMax = 1024;

const settingsKey = keyIn(partitionAt(0), "settings");

/** Whether the engine has what its first coordinator wrote: it never leaves, unless everything does. */
export async function hasAgreed(engine: Engine): Promise<boolean> {
  const { found } = await engine.get([settingsKey]);
  return typeof found[0]?.value === "string";
}

/**
 * How many partitions the engine's state is in: decided by the first coordinator on it, and the same for all after it, or
 * they would look for the same run in different places. `BadRequest` when `wanted` is another number.
 */
export async function agreePartitions(engine: Engine, wanted: number | undefined): Promise<number> {
  const first = wanted ?? partitionsDefault;
  if (!Number.isInteger(first) || first < 1 || first > partitionsMax) {
    throw new SaltError("BadRequest", `Cannot have ${first} partitions: it is a number from 1 to ${partitionsMax}.`);
  }
  const value = JSON.stringify({ partitions: first });
  await engine.commit(partitionAt(0), [
    {
      checks: [{ kind: "stamp", key: settingsKey, stamp: null }],
      // It is written once and never again, so its stamp need not tell two writers apart.
      writes: [{ kind: "set", key: settingsKey, stamp: "first", value }],
    },
  ]);
  const { found } = await engine.get([settingsKey]);
  const { partitions } = JSON.parse(found[0]?.value ?? value) as { partitions: number };
  if (wanted === undefined || wanted === partitions) return partitions;
  throw new SaltError("BadRequest", `Cannot use ${wanted} partitions: what is stored is in ${partitions}.`, {
    next: `Leave out --partitions, or give ${partitions}. Another number is possible on another database only.`,
  });
}
