import { expect, test } from "vitest";
import { systemClock, systemRandom } from "#shared/system.ts";
import type { Unit } from "../connection/unit.ts";
import { silentLogger } from "../fakes/stand.ts";
import type { Attempt } from "../leases/attempt.ts";
import { Reporter } from "./reporter.ts";

test("K3 a report that is to be kept twice while it is being written is written once, and nothing of it stays", async () => {
  const written: string[] = [];
  const removed: string[] = [];
  const disk = Promise.withResolvers<void>();
  const kept: Unit[] = [];
  const attempt = {
    key: "7:run/a",
    lease: { task: "run/a", fence: 7, kind: "task" },
    host: null,
  } as unknown as Attempt;
  const reporter = new Reporter({
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    connection: {
      keep: (unit: Unit) => void kept.push(unit),
      kept: (attempts: ReadonlyMap<string, Attempt>) =>
        kept.map((unit) => ({ unit, attempt: [...attempts.values()][0] })),
    } as never,
    files: {
      async store() {
        const file = `${written.length + 1}.json`;
        written.push(file);
        await disk.promise;
        return file;
      },
      load: async () => [],
      remove: async (file) => void removed.push(file),
    },
    accepted: () => {},
    stored: () => {},
  });
  reporter.report(attempt, { kind: "done", output: { json: "1" } }, 1, undefined);
  await expect.poll(() => written.length).toBe(1);
  // The program is gone, while the line to the coordinator is lost too.
  reporter.hostGone(attempt);
  disk.resolve();
  await reporter.settle();
  kept[0]?.accepted();
  expect([written, removed]).toEqual([["1.json"], ["1.json"]]);
});
