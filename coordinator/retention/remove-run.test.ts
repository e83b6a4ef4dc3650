import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { partitionOf, type RunId } from "#shared/domain/ids.ts";
import { taskCall } from "../../tests/support/fake-agent.ts";
import { contentsOf, digest, ended, liveFully, markOnly, ofRun, stateOf } from "../../tests/support/full-run.ts";
import {
  dayMs,
  hourMs,
  minuteMs,
  type RetentionStand,
  retentionStand,
  sweepAll,
  until,
} from "../../tests/support/retention-stand.ts";
import { openRun } from "../runs/open-run.ts";
import { removalKey } from "../state/kept-records.ts";
import type { NewRun } from "../state/new-run.ts";

let stand: RetentionStand;
beforeEach(() => {
  stand = retentionStand();
});
afterEach(() => stand.close());

describe("a run that ended", () => {
  it("C9 leaves with all that is of it, so that nothing in the engine tells of it, after its age and not before", async () => {
    const journey = await stand.journey();
    const before = await contentsOf(stand);
    const run = await liveFully(stand, journey);
    expect((await ofRun(stand, run)).length).toBeGreaterThan(80);
    journey.close();
    const { retention } = stand.coordinator();
    stand.clock.advance(30 * dayMs - minuteMs);
    await sweepAll(stand, retention);
    expect((await ofRun(stand, run)).length).toBeGreaterThan(30);
    stand.clock.advance(2 * minuteMs);
    await sweepAll(stand, retention);
    // Its child's input referred to it, so it is looked at again when that has left.
    stand.clock.advance(hourMs);
    await sweepAll(stand, retention);
    expect(await ofRun(stand, run)).toEqual([]);
    // Its blobs are left without an owner, and go a day and an hour later.
    stand.clock.advance(25 * hourMs);
    await sweepAll(stand, retention);
    stand.clock.advance(2 * hourMs);
    await sweepAll(stand, retention);
    expect(await contentsOf(stand)).toEqual(before);
    expect([...stand.store.blobs.keys()]).toEqual([]);
  });

  it("C9 stays for ever when its age is", async () => {
    const journey = await stand.journey();
    const run = await journey.open();
    journey.agent.done(await journey.agent.lease());
    await ended(journey, run);
    journey.close();
    stand.clock.advance(4_000 * dayMs);
    await sweepAll(stand, stand.coordinator({ runsMs: Infinity }).retention);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
  });

  it("C9 is not there any more from the moment on when its removal begins", async () => {
    const journey = await stand.journey();
    const run = await liveFully(stand, journey);
    journey.close();
    stand.clock.advance(31 * dayMs);
    const coordinator = stand.coordinator();
    const { retention } = coordinator;
    await markOnly(stand, coordinator);
    expect(await journey.read(run)).toBeNull();
    const trigger = { kind: "manual", name: null, by: "test" } as const;
    expect(await stand.engine.contents()).toContain(removalKey(run));
    const again = { id: run, identityDigest: "d" } as NewRun;
    const refused = stand.coordinator().mover.move(partitionOf(run), openRun, again);
    await expect(refused).rejects.toMatchObject({ code: "Unavailable", retryable: true });
    await sweepAll(stand, retention);
    const later = await stand.journey();
    const request = { project: "demo", workflow: "main", input: { json: "1" }, trigger };
    const identity = { source: "api", key: "k", digest: "d" };
    expect(await later.runs.cancelRun({ run, reason: "", by: "test" })).toEqual({ kind: "unknown" });
    expect(await later.runs.retryRun({ run, by: "test" })).toBeNull();
    // Under the same key another run is opened once the first is wholly gone, and not into what is left of it.
    await until(async () => {
      const opened = await later.runs.openRun({ ...request, identity });
      return opened?.kind === "opened" && opened.run === run;
    }, "the key can be used again");
    expect(await later.read(run)).toMatchObject({ state: "open" });
    later.close();
    await sweepAll(stand, retention);
    expect(await later.read(run)).toMatchObject({ state: "open" });
  });
});

describe("a run that has to stay", () => {
  it("C9 never leaves while it is open, however old", async () => {
    const journey = await stand.journey();
    const run = await journey.open();
    const workflow = await journey.agent.lease();
    journey.agent.calls(workflow, [{ kind: "sleep", key: "sleep#1", digest, forMs: 900 * dayMs }]);
    await until(async () => (await ofRun(stand, run)).some((name) => name.includes("sleep#1")), "the sleep");
    journey.close();
    const before = await contentsOf(stand);
    stand.clock.advance(800 * dayMs);
    await sweepAll(stand, stand.coordinator().retention);
    expect(await contentsOf(stand)).toEqual(before);
  });

  it("A14 stays while a detached task of it is executing, and leaves when that is over", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1", { detached: true, awaited: false })]);
    const work = await agent.lease();
    agent.done(workflow, "over");
    await ended(journey, run);
    journey.close();
    stand.clock.advance(31 * dayMs);
    const { retention } = stand.coordinator();
    await sweepAll(stand, retention);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
    const later = await stand.journey([work]);
    later.agent.done(work, "late");
    await until(async () => (await stateOf(stand, run, "work#1")) === "succeeded", "the detached task's end");
    later.close();
    await sweepAll(stand, retention);
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
    stand.clock.advance(hourMs);
    await sweepAll(stand, retention);
    expect(await ofRun(stand, run)).toEqual([]);
  });

  it("C9 stays while a retry copies it, and while another run's input refers to its calls", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const run = await journey.open();
    const workflow = await agent.lease();
    const child = { kind: "workflow", key: "child#1", name: "child", digest, input: { json: "1" }, refs: ["work#1"] };
    agent.calls(workflow, [taskCall("work#1"), { ...child, detached: true }]);
    agent.done(await agent.lease(), "given");
    const childFlow = await agent.lease();
    agent.done(workflow, "over");
    await ended(journey, run);
    const childRun = childFlow.task.slice(0, 32) as RunId;
    stand.clock.advance(20 * dayMs);
    agent.fail(childFlow);
    await ended(journey, childRun);
    journey.close();
    stand.clock.advance(11 * dayMs);
    const { retention } = stand.coordinator();
    await sweepAll(stand, retention);
    // A retry of the child is given what its parent's call gave.
    expect(await journey.read(run)).toMatchObject({ state: "succeeded" });
    stand.clock.advance(20 * dayMs);
    await sweepAll(stand, retention);
    expect(await ofRun(stand, childRun)).toEqual((await ofRun(stand, childRun)).filter((name) => name.includes(run)));
    stand.clock.advance(hourMs);
    await sweepAll(stand, retention);
    expect([...(await ofRun(stand, childRun)), ...(await ofRun(stand, run))]).toEqual([]);
  });
});
