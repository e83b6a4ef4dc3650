import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import type { Engine } from "../engine.ts";
import { contents, histories, resolveBatch, type Step } from "../history.ts";
import { ManualClock } from "../manual-clock.ts";
import { createMemoryEngine } from "../memory/memory-engine.ts";
import { createSqliteEngine } from "./sqlite-engine.ts";

/** `SALT_SEED` repeats the history that a failure printed, `SALT_HISTORIES` sets how many are tried. */
const seed = process.env.SALT_SEED === undefined ? undefined : Number(process.env.SALT_SEED);
const numRuns = Number(process.env.SALT_HISTORIES ?? 150);

test("sqlite answers every step of random histories as the memory model does, and holds the same after reopening", async () => {
  await fc.assert(fc.asyncProperty(histories, compare), { numRuns, ...(seed !== undefined && { seed }) });
}, 120_000);

async function compare(history: readonly Step[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "salt-history-"));
  const clock = new ManualClock();
  const open = () => createSqliteEngine({ file: join(folder, "salt.db"), clock });
  const model = createMemoryEngine({ clock });
  let sqlite = open();
  try {
    for (const step of history) {
      switch (step.step) {
        case "commit": {
          const batch = await resolveBatch(model, step.batch);
          await same(model, sqlite, (engine) => engine.commit(partitionAt(step.partition), batch, step.claim));
          break;
        }
        case "range":
          await same(model, sqlite, (engine) => engine.range(step.index, step.query));
          break;
        case "read":
          await same(model, sqlite, (engine) => engine.read(step.log, step.after, step.limit, step.bytesMax));
          break;
        case "pass":
          clock.pass(step.ms);
          break;
        case "setClock":
          clock.set(clock.nowMs() + step.byMs);
          break;
        case "reopen":
          // Stores the time, which an engine that ended otherwise may have to take up from a little earlier.
          await same(model, sqlite, (engine) => engine.commit(partitionAt(0), [{ checks: [], writes: [] }]));
          await sqlite.close();
          sqlite = open();
      }
    }
    await same(model, sqlite, contents);
  } finally {
    await sqlite.close();
    await rm(folder, { recursive: true });
  }
}

async function same<Answer>(model: Engine, sqlite: Engine, ask: (engine: Engine) => Promise<Answer>): Promise<void> {
  const [expected, actual] = [await ask(model), await ask(sqlite)];
  expect(plain(actual)).toEqual(plain(expected));
}

/** Rows of SQLite have no prototype. */
const plain = (answer: unknown): unknown => JSON.parse(JSON.stringify(answer));
