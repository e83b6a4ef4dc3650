import { SaltError } from "#shared/domain/errors.ts";
import { partitionAt } from "#shared/domain/ids.ts";
import { type Engine, keyIn } from "./engine/engine.ts";

export const partitionsDefault = 16;
/** What an id has digits for. */
export const partitionsMax = 1024;

const settingsKey = keyIn(partitionAt(0), "settings");

/** In how many partitions the engine's state is; null while there is none: what was agreed on never leaves by itself. */
export async function agreedPartitions(engine: Engine): Promise<number | null> {
  const { found } = await engine.get([settingsKey]);
  return (JSON.parse(found[0]?.value ?? "null") as { partitions: number } | null)?.partitions ?? null;
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
  // Read first: a Redis that is full takes no such commit, and whoever is to empty it must be able to start.
  const partitions = (await agreedPartitions(engine)) ?? (await setPartitions(engine, first));
  if (wanted === undefined || wanted === partitions) return partitions;
  throw new SaltError("BadRequest", `Cannot use ${wanted} partitions: what is stored is in ${partitions}.`, {
    next: `Leave out --partitions, or give ${partitions}. Another number is possible on another database only.`,
  });
}

/** As many as that, unless another coordinator was quicker. */
async function setPartitions(engine: Engine, partitions: number): Promise<number> {
  await engine.commit(partitionAt(0), [
    {
      checks: [{ kind: "stamp", key: settingsKey, stamp: null }],
      // It is written once and never again, so its stamp need not tell two writers apart.
      writes: [{ kind: "set", key: settingsKey, stamp: "first", value: JSON.stringify({ partitions }) }],
    },
  ]);
  return (await agreedPartitions(engine)) ?? partitions;
}
