import { expect, test } from "vitest";
import { ManualClock } from "#coordinator/engine/manual-clock.ts";
import { newRunId, partitionAt, type Sha256, taskId } from "#shared/domain/ids.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import { systemRandom } from "#shared/system.ts";
import { silentLogger } from "../fakes/stand.ts";
import { newAttempt } from "../leases/attempt.ts";
import type { LinesFile } from "../ports.ts";
import { AttemptJournal } from "./attempt-journal.ts";

const clock = new ManualClock();

function attempt(argsId: string) {
  const task = taskId(newRunId(partitionAt(0), clock, systemRandom), "work#1" as never);
  const lease: Lease = {
    ...{ task, fence: 1, project: "shop", release: "rel_1", binary: "a".repeat(64) as Sha256, binaryBytes: 1 },
    ...{ name: "work", attempt: 1, input: { json: "1" }, attemptTimeoutMs: 1_000 },
    kind: "task",
    process: "warm",
  };
  return newAttempt(lease, { argsId, nowMs: 0, failed: () => undefined });
}

/** A file on a disk that can be full; what does not fit is cut off in the middle, as on a real one. */
function fullDisk() {
  const disk = { text: "", roomLeft: Number.POSITIVE_INFINITY, replaced: 0 };
  const file: LinesFile = {
    text: "",
    append(text) {
      disk.text += text.slice(0, disk.roomLeft);
      if (text.length > disk.roomLeft) throw new Error("ENOSPC");
    },
    replace(text) {
      disk.replaced += 1;
      if (text.length > disk.roomLeft) throw new Error("ENOSPC");
      disk.text = text;
    },
    close() {},
  };
  const deps = { clock, logger: silentLogger, disk: { openLines: () => file } as never };
  const again = () =>
    AttemptJournal.open({ ...deps, disk: { openLines: () => ({ ...file, text: disk.text }) } as never }, "f");
  return { disk, open: () => AttemptJournal.open(deps, "f").journal, remembered: () => again().remembered.attempts };
}

test("A32 a full disk does not end the agent: what programs were given is noted once there is room", async () => {
  const { disk, open, remembered } = fullDisk();
  const journal = open();
  journal.given("p1", attempt("first"));
  await Promise.resolve();
  disk.roomLeft = 20;
  journal.given("p1", attempt("second"));
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  expect(remembered().map(({ argsId }) => argsId)).toEqual(["first"]);
  disk.roomLeft = Number.POSITIVE_INFINITY;
  clock.pass(1_000);
  expect(remembered().map(({ argsId }) => argsId)).toEqual(["first", "second"]);
});

test("A32 a full disk is tried once a second, however much there was to note meanwhile", async () => {
  const { disk, open } = fullDisk();
  const journal = open();
  disk.roomLeft = 0;
  for (let turn = 0; turn < 5; turn += 1) {
    journal.given("p1", attempt(`a${turn}`));
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  const tried = disk.replaced;
  for (let second = 1; second <= 3; second += 1) {
    clock.pass(1_000);
    expect(disk.replaced - tried).toBe(second);
  }
});
