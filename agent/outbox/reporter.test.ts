import { afterEach, beforeEach, expect, test } from "vitest";
import type { AttemptName } from "#shared/protocol/agent.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import type { Unit } from "../connection/unit.ts";
import { silentLogger } from "../fakes/stand.ts";
import { type Attempt, attemptKey } from "../leases/attempt.ts";
import type { ReportFiles, StoredUnit } from "./report-files.ts";
import { Reporter } from "./reporter.ts";

const done = { kind: "done", output: { json: "1" } } as const;

/** An attempt whose program is gone: its report is kept by nobody else. */
const attemptOf = (task: string): Attempt => {
  const lease = { task, fence: 7, kind: "task" } as unknown as Attempt["lease"];
  return { key: attemptKey(lease), lease, host: null } as Attempt;
};

function stand(files: Partial<ReportFiles>) {
  const kept: Unit[] = [];
  const reporter = new Reporter({
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
    connection: {
      keep: (unit: Unit) => void kept.push(unit),
      kept: (attempts: ReadonlyMap<string, Attempt>) =>
        kept.flatMap((unit) => {
          const attempt = attempts.get(unit.attempt ?? "");
          return attempt ? [{ unit, attempt }] : [];
        }),
    } as never,
    files: { store: async () => "1.json", load: async () => [], remove: async () => undefined, ...files },
    accepted: () => {},
    stored: () => {},
  });
  return { kept, reporter };
}

const unhandled: unknown[] = [];
const onUnhandled = (error: unknown) => void unhandled.push(error);
beforeEach(() => {
  process.on("unhandledRejection", onUnhandled);
});
afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve));
  process.off("unhandledRejection", onUnhandled);
  expect(unhandled.splice(0)).toEqual([]);
});

test("K3 a report that is to be kept twice while it is being written is written once, and nothing of it stays", async () => {
  const written: string[] = [];
  const removed: string[] = [];
  const disk = Promise.withResolvers<void>();
  const { kept, reporter } = stand({
    async store() {
      const file = `${written.length + 1}.json`;
      written.push(file);
      await disk.promise;
      return file;
    },
    remove: async (file) => void removed.push(file),
  });
  const attempt = attemptOf("run/a");
  reporter.report(attempt, done, 1, undefined);
  await expect.poll(() => written.length).toBe(1);
  // The program is gone, while the line to the coordinator is lost too.
  reporter.hostGone(attempt);
  disk.resolve();
  await reporter.settle();
  kept[0]?.accepted();
  expect([written, removed]).toEqual([["1.json"], ["1.json"]]);
});

test("K2 a report that found the disk full is written with the next one", async () => {
  const written: StoredUnit[][] = [];
  let isFull = true;
  const { reporter } = stand({
    async store(units) {
      if (isFull) throw new Error("ENOSPC");
      written.push([...units]);
      return "1.json";
    },
  });
  reporter.report(attemptOf("run/a"), done, 1, undefined);
  await reporter.settle();
  isFull = false;
  reporter.report(attemptOf("run/b"), done, 1, undefined);
  await reporter.settle();
  const names = written.map((units) => units.map(({ task }: Pick<AttemptName, "task">) => task));
  expect(names).toEqual([["run/a", "run/b"]]);
});

test("A32 a file of the outbox that cannot be removed does not end the agent", async () => {
  const { kept, reporter } = stand({ remove: () => Promise.reject(new Error("EROFS")) });
  reporter.report(attemptOf("run/a"), done, 1, undefined);
  await reporter.settle();
  kept[0]?.accepted();
});
