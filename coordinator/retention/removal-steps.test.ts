import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type CallKey, newRunId, partitionAt, partitionOf, taskId } from "#shared/domain/ids.ts";
import { systemRandom } from "#shared/system.ts";
import { taskCall } from "../../tests/support/fake-agent.ts";
import {
  attemptOf,
  contentsOf,
  digest,
  ended,
  liveFully,
  markOnly,
  newRunOf,
  ofRun,
  stateOf,
} from "../../tests/support/full-run.ts";
import {
  dayMs,
  hourMs,
  minuteMs,
  type RetentionStand,
  retentionStand,
  sweepAll,
  until,
} from "../../tests/support/retention-stand.ts";
import type { Key } from "../engine/engine.ts";
import { appendLogs } from "../logs/append-logs.ts";
import { dependentsIndex, edgesIndex, journalLog, outputLog } from "../records.ts";
import { openRun } from "../runs/open-run.ts";
import { removalKey } from "../state/kept-records.ts";
import { runOutputLog } from "../state/log-records.ts";
import { markRun } from "./mark-run.ts";
import { perStepMax } from "./remove-task.ts";
import { runsPerSweepMax } from "./retention.ts";

let stand: RetentionStand;
beforeEach(() => {
  stand = retentionStand();
});
afterEach(() => stand.close());

describe("a removal", () => {
  it("C9 goes on after a crash between any two of its steps, and comes to the same", async () => {
    const journey = await stand.journey();
    const before = await contentsOf(stand);
    const run = await liveFully(stand, journey);
    journey.close();
    stand.clock.advance(31 * dayMs);
    await markOnly(stand, stand.coordinator());
    // Each coordinator commits one step and is gone.
    let steps = 0;
    for (; (await ofRun(stand, run)).length > 0 && steps < 50; steps += 1) {
      const engine = Object.assign(Object.create(stand.engine), {
        commits: 0,
        commit(...args: Parameters<typeof stand.engine.commit>) {
          this.commits += 1;
          if (this.commits > 1) return new Promise(() => undefined);
          return stand.engine.commit(...args);
        },
      });
      const { retention } = stand.coordinator({}, { engine });
      void retention.removeRun(run).catch(() => undefined);
      await until(() => engine.commits > 0, "a step");
    }
    expect(steps).toBeGreaterThan(5);
    expect(await ofRun(stand, run)).toEqual([]);
    const { retention } = stand.coordinator();
    stand.clock.advance(25 * hourMs);
    await sweepAll(stand, retention);
    stand.clock.advance(2 * hourMs);
    await sweepAll(stand, retention);
    expect(await contentsOf(stand)).toEqual(before);
  });

  it("C9 touches nothing of a run that was opened under its id since, however late a step comes", async () => {
    const journey = await stand.journey();
    const run = await liveFully(stand, journey);
    journey.close();
    stand.clock.advance(31 * dayMs);
    const coordinator = stand.coordinator();
    const { mover, retention } = coordinator;
    await markOnly(stand, coordinator);
    const { promise: made, resolve: isMade } = Promise.withResolvers<void>();
    const { promise: paused, resolve: goOn } = Promise.withResolvers<void>();
    const engine = Object.assign(Object.create(stand.engine), {
      async commit(...args: Parameters<typeof stand.engine.commit>) {
        isMade();
        await paused;
        return stand.engine.commit(...args);
      },
    });
    const late = stand.coordinator({}, { engine }).retention.removeRun(run);
    await made;
    await retention.removeRun(run);
    expect(await ofRun(stand, run)).toEqual([]);
    const again = { ...newRunOf(run), waits: true };
    expect(await mover.move(partitionOf(run), openRun, again)).toEqual({ kind: "opened", run });
    const opened = await ofRun(stand, run);
    goOn();
    await late;
    expect(await ofRun(stand, run)).toEqual(opened);
  });

  it("C9 takes with it what an agent says of a task's output while it goes", async () => {
    const journey = await stand.journey();
    const run = await journey.open();
    const lease = await journey.agent.lease();
    journey.agent.done(lease);
    await ended(journey, run);
    journey.close();
    stand.clock.advance(31 * dayMs);
    const { mover, retention } = stand.coordinator();
    expect(await mover.move(partitionOf(run), markRun, { run, keepMs: 30 * dayMs })).toBe("marked");
    let said: Awaited<ReturnType<typeof appendLogs>> | null = null;
    const engine = Object.assign(Object.create(stand.engine), {
      async commit(...args: Parameters<typeof stand.engine.commit>) {
        const isLast = args[1].some(({ writes }) =>
          writes.some((w) => w.kind === "delete" && w.key === removalKey(run)),
        );
        // The last step is made, and knows of no output.
        const chunk = { ...attemptOf(lease), stream: "stdout", offset: 0, text: "late", atMs: 1 } as const;
        if (isLast) said ??= await appendLogs({ mover }, [{ ...chunk, task: lease.task }]);
        return stand.engine.commit(...args);
      },
    });
    await stand.coordinator({}, { engine }).retention.removeRun(run);
    expect(said).toEqual({ stale: [] });
    await sweepAll(stand, retention);
    expect(await ofRun(stand, run)).toEqual([]);
  });

  it("C9 is begun and ended by a coordinator that nobody asks", async () => {
    const journey = await stand.journey();
    const run = await journey.open();
    journey.agent.done(await journey.agent.lease());
    await ended(journey, run);
    journey.close();
    stand.clock.advance(31 * dayMs);
    const later = await stand.journey();
    await until(async () => (await ofRun(stand, run)).length === 0, "the run is gone");
    later.close();
  });

  it("C9 is done once, also by several coordinators at the same time", async () => {
    const journey = await stand.journey();
    const before = await contentsOf(stand);
    for (let n = 0; n < 20; n += 1) {
      const run = await journey.open();
      const workflow = await journey.agent.lease();
      journey.agent.calls(workflow, [taskCall("work#1"), taskCall("work#2")]);
      for (const lease of await journey.agent.leases(2)) journey.agent.done(lease, n);
      journey.agent.done(workflow);
      await ended(journey, run);
    }
    journey.close();
    stand.clock.advance(31 * dayMs);
    const coordinators = [1, 2, 3].map(() => stand.coordinator());
    await Promise.all(coordinators.map(({ retention }) => sweepAll(stand, retention)));
    expect(await contentsOf(stand)).toEqual(before);
  });

  it("C9 has a bound for each look: so many runs begin to leave, and so many steps are done for each", async () => {
    const journey = await stand.journey();
    const open = runsPerSweepMax + 5;
    const runs = await Promise.all(Array.from({ length: 2 * open }, () => journey.open()));
    for (const run of runs) await journey.runs.cancelRun({ run, reason: "all", by: "test" });
    stand.clock.advance(minuteMs);
    await Promise.all(runs.map((run) => ended(journey, run)));
    journey.close();
    stand.clock.advance(31 * dayMs);
    const { retention } = stand.coordinator();
    const [partition] = stand.partitions;
    if (!partition) throw new Error("there is a partition");
    const marked = async () =>
      (await contentsOf(stand)).filter((name) => name.startsWith(`{${partition}}removing `)).length;
    const inPartition = runs.filter((run) => partitionOf(run) === partition).length;
    expect(await retention.sweep(partition)).toBe(inPartition >= runsPerSweepMax);
    expect(await marked()).toBe(Math.min(runsPerSweepMax, inPartition));
  });

  it("C9 takes a large run in many small steps, none of them larger than the others", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const run = await journey.open();
    const workflow = await agent.lease();
    const calls = 700;
    agent.calls(workflow, [taskCall("work#1")]);
    const work = await agent.lease();
    const dependents = Array.from({ length: calls }, (_, n) => taskCall(`other#${n}`, { refs: ["work#1"] }));
    agent.calls(workflow, dependents);
    await until(async () => (await stateOf(stand, run, `other#${calls - 1}`)) !== undefined, "all calls");
    const chunk = (offset: number) => ({ ...attemptOf(work), stream: "stdout", offset, text: "x", atMs: 1 });
    for (let at = 0; at < 1_200; at += 400) {
      agent.send({ t: "logs", seq: agent.seq(), chunks: Array.from({ length: 400 }, (_, n) => chunk(at + n)) });
    }
    await journey.runs.cancelRun({ run, reason: "enough", by: "test" });
    agent.fail(workflow, { type: "CancelledError" });
    agent.report(work, { kind: "cancelled", failure: { type: "CancelledError", message: "", retryable: false } });
    await ended(journey, run);
    await until(
      async () => !(await contentsOf(stand)).some((name) => name.includes("}closing ")),
      "the end of all calls",
    );
    journey.close();
    stand.clock.advance(31 * dayMs);
    const sizes: number[] = [];
    const engine = Object.assign(Object.create(stand.engine), {
      commit(...args: Parameters<typeof stand.engine.commit>) {
        for (const { writes } of args[1]) sizes.push(writes.length);
        return stand.engine.commit(...args);
      },
    });
    await sweepAll(stand, stand.coordinator({}, { engine }).retention);
    expect(await ofRun(stand, run)).toEqual([]);
    expect(sizes.length).toBeGreaterThan(calls / 10);
    expect(Math.max(...sizes)).toBeLessThan(2 * perStepMax);
  }, 20_000);

  it("C9 takes what one task has in steps too: a long log, and edges to many others", async () => {
    const { mover, retention } = stand.coordinator();
    const run = newRunId(partitionAt(0), stand.clock, systemRandom);
    const task = taskId(run, "work#1" as CallKey);
    const entries = (log: Key, count: number) =>
      Array.from({ length: count }, () => ({ kind: "append", log, value: "{}" }) as const);
    const called = JSON.stringify({ e: "called", key: "work#1", kind: "task", name: "work", digest });
    const ranked = (index: Key, count: number) =>
      Array.from({ length: count }, (_, n) => ({ kind: "rank", index, member: `m${n}`, score: { at: 0 } }) as const);
    const removal = JSON.stringify({ release: "rel_1", refsRun: null, steps: 0 });
    await stand.engine.commit(partitionAt(0), [
      {
        checks: [],
        writes: [
          { kind: "set", key: removalKey(run), stamp: "s", value: removal },
          { kind: "append", log: journalLog(run), value: called },
          ...entries(outputLog(task), 2 * perStepMax + 3),
          ...entries(runOutputLog(run), perStepMax),
          ...ranked(edgesIndex(task), perStepMax + 1),
          ...ranked(dependentsIndex(task), 2 * perStepMax),
        ],
      },
    ]);
    await retention.removeRun(run);
    expect(await stand.engine.contents()).toEqual([]);
    mover.close();
  });
});
