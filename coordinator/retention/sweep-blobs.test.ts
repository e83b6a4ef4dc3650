import { PassThrough, Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { partitionAt, type RunId, type Sha256, sha256 } from "#shared/domain/ids.ts";
import type { Value } from "#shared/protocol/common.ts";
import { taskCall } from "../../tests/support/fake-agent.ts";
import {
  dayMs,
  hourMs,
  minuteMs,
  type RetentionStand,
  retentionStand,
  sweepAll,
  until,
} from "../../tests/support/retention-stand.ts";
import { runKey } from "../records.ts";
import { blobKey, blobPartition } from "../state/blob-records.ts";
import { referencesIndex } from "../state/blob-refs.ts";
import { Change } from "../state/change.ts";
import { blobsPerSweepMax } from "./sweep-blobs.ts";

let stand: RetentionStand;
let one: ReturnType<RetentionStand["coordinator"]>;
beforeEach(() => {
  stand = retentionStand();
  one = stand.coordinator();
});
afterEach(() => stand.close());

const put = async (text: string, by = one): Promise<Sha256> => {
  const bytes = Buffer.from(text);
  await by.blobs.put(sha256(bytes), bytes, bytes.length);
  return sha256(bytes);
};
const valueIn = (blob: Sha256): Value => ({ blob, bytes: 20_000 });
const isThere = (digest: Sha256) => stand.store.blobs.has(digest);
const sweep = (by = one) => sweepAll(stand, by.retention);
const partitionOfBlob = (digest: Sha256) => blobPartition(stand.partitions.length, digest);
async function recordOf(digest: Sha256) {
  const { found } = await stand.engine.get([blobKey(partitionOfBlob(digest), digest)]);
  return JSON.parse(found[0]?.value ?? "null") as { doomedAtMs: number | null; deletingAtMs: number | null } | null;
}

/** Refers to a value as a run of a partition does, without a run around it. */
async function refer(value: Value, partition = partitionAt(1), by = one): Promise<RunId> {
  const run = `run_0${partition === partitionAt(1) ? 1 : 0}${sha256(JSON.stringify(value))
    .slice(0, 26)
    .replaceAll(/[^0-9a-f]/g, "0")}` as RunId;
  const move = {
    name: "refer",
    reads: () => [],
    decide(view: ConstructorParameters<typeof Change>[0]) {
      const change = new Change(view);
      change.set(runKey(run), { input: value });
      return { transactions: change.drafts(), answer: () => undefined };
    },
  };
  await by.mover.move(partition, move, undefined);
  return run;
}

describe("a blob that nothing refers to", () => {
  it("C9 is doomed after a day, told to be absent from then on, and deleted an hour later", async () => {
    const digest = await put("nobody's");
    stand.clock.advance(dayMs - minuteMs);
    await sweep();
    expect((await recordOf(digest))?.doomedAtMs).toBeNull();
    stand.clock.advance(2 * minuteMs);
    await sweep();
    expect((await recordOf(digest))?.doomedAtMs).not.toBeNull();
    expect(isThere(digest)).toBe(true);
    expect(await one.blobs.has([digest])).toEqual([null]);
    expect(await stand.coordinator().blobs.has([digest])).toEqual([null]);
    stand.clock.advance(hourMs - 2 * minuteMs);
    await sweep();
    expect(isThere(digest)).toBe(true);
    stand.clock.advance(3 * minuteMs);
    await sweep();
    expect(isThere(digest)).toBe(false);
    expect(await stand.engine.contents()).toEqual([]);
  });

  it("C9 is brought back when it is put again while it is doomed", async () => {
    const digest = await put("again");
    stand.clock.advance(dayMs + minuteMs);
    await sweep();
    await put("again");
    expect(await one.blobs.has([digest])).toEqual([5]);
    stand.clock.advance(2 * hourMs);
    await sweep();
    expect(isThere(digest)).toBe(true);
  });

  it("C9 is kept for another day by who asks whether it is there", async () => {
    const digest = await put("asked for");
    for (let days = 0; days < 5; days += 1) {
      stand.clock.advance(dayMs - 2 * hourMs);
      expect(await stand.coordinator().blobs.has([digest])).toEqual([9]);
      await sweep();
    }
    expect(isThere(digest)).toBe(true);
  });

  it("C9 stays when the ages say so, and is never doomed earlier than after a day", async () => {
    const digest = await put("kept");
    const hasty = stand.coordinator({ blobsMs: minuteMs });
    stand.clock.advance(23 * hourMs);
    await sweep(hasty);
    expect((await recordOf(digest))?.doomedAtMs).toBeNull();
    const patient = stand.coordinator({ blobsMs: Infinity });
    stand.clock.advance(300 * dayMs);
    await sweep(patient);
    expect(isThere(digest)).toBe(true);
  });

  it("C9 leaves with others a bounded number at a time", async () => {
    stand.close();
    stand = retentionStand({ partitions: 1 });
    one = stand.coordinator();
    for (let n = 0; n < blobsPerSweepMax + 3; n += 1) await put(`blob ${n}`);
    stand.clock.advance(dayMs + minuteMs);
    const doomed = async () => (await stand.engine.contents()).filter((name) => name.includes("}doomed ")).length;
    expect(await one.retention.sweep(partitionAt(0))).toBe(true);
    expect(await doomed()).toBe(blobsPerSweepMax);
    await one.retention.sweep(partitionAt(0));
    expect(await doomed()).toBe(blobsPerSweepMax + 3);
    stand.clock.advance(hourMs);
    expect(await one.retention.sweep(partitionAt(0))).toBe(true);
    expect(stand.store.blobs.size).toBe(3);
  });
});

describe("a blob that is needed", () => {
  it("C9 never leaves while a run of any partition refers to it", async () => {
    const digests = [await put("in p0"), await put("in p1")] as const;
    await refer(valueIn(digests[0]), partitionAt(0));
    await refer(valueIn(digests[1]), partitionAt(1));
    for (let days = 0; days < 10; days += 1) {
      stand.clock.advance(dayMs);
      await sweep();
    }
    expect(digests.map(isThere)).toEqual([true, true]);
  });

  it("C9 keeps the files that a value names, inline or in a blob, for as long as the value", async () => {
    const file = (digest: Sha256) => ({ $salt: "file", v: { sha256: digest, bytes: 4 } });
    const digests = [await put("file 1"), await put("file 2"), await put("file 3")] as const;
    await refer({ json: JSON.stringify([file(digests[0])]) });
    // One whose text the coordinator stored itself, and one that came from an agent, which says what is in it.
    const own = await put(JSON.stringify({ deep: [file(digests[1]), "x".repeat(20_000)] }));
    await refer(valueIn(own));
    const bytes = Buffer.from("text that the agent stored");
    const agents = sha256(bytes);
    await one.blobs.put(agents, Readable.from([bytes]), bytes.length);
    expect(await one.blobs.touch([{ blob: agents, bytes: 26, files: [digests[2]] }])).toEqual([]);
    const run = await refer(valueIn(agents));
    for (let days = 0; days < 5; days += 1) {
      stand.clock.advance(dayMs);
      await sweep();
    }
    expect([...digests, own, agents].map(isThere)).toEqual([true, true, true, true, true]);
    // When the value goes, so does the file that it alone names.
    const key = referencesIndex(partitionAt(1));
    await stand.engine.commit(partitionAt(1), [
      { checks: [], writes: [{ kind: "unrank", index: key, member: `${agents}/${run}` }] },
    ]);
    for (let days = 0; days < 4; days += 1) {
      stand.clock.advance(26 * hourMs);
      await sweep();
    }
    expect([...digests, own, agents].map(isThere)).toEqual([true, true, false, true, false]);
  });

  it("A14 stays for as long as a lease needs it, and what came of that for as long as its run", async () => {
    const journey = await stand.journey();
    const { agent } = journey;
    const input = Buffer.from(JSON.stringify("i".repeat(20_000)));
    const output = Buffer.from(JSON.stringify("o".repeat(20_000)));
    for (const bytes of [input, output]) await journey.blobs.put(sha256(bytes), bytes, bytes.length);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [
      taskCall("work#1", { input: { blob: sha256(input), bytes: input.length }, detached: true }),
    ]);
    const work = await agent.lease();
    // Its run is over; the detached task goes on for weeks.
    agent.done(workflow, "over");
    await until(async () => (await journey.read(run)).endedAtMs !== null, "the run's end");
    journey.close();
    for (let days = 0; days < 40; days += 1) {
      stand.clock.advance(dayMs);
      await stand.coordinator().blobs.has([sha256(output)]);
      await sweep();
    }
    expect([input, output].map((bytes) => isThere(sha256(bytes)))).toEqual([true, true]);
    const later = await stand.journey([work]);
    later.agent.report(work, { kind: "done", output: { blob: sha256(output), bytes: output.length } });
    await later.agent.next("accepted");
    later.close();
    for (let hours = 0; hours < 80; hours += 1) {
      stand.clock.advance(hourMs);
      await sweep();
    }
    expect(await journey.read(run)).toBeNull();
    expect([input, output].map((bytes) => isThere(sha256(bytes)))).toEqual([false, false]);
    expect(stand.store.blobs.size).toBe(0);
  });

  it("C9 is kept by a release until that is removed", async () => {
    const binary = await put("binary");
    const journey = await stand.journey();
    const manifest = {
      salt: 1,
      project: "shop",
      description: { protocol: 1, sdk: { language: "none", version: "0" }, workflows: [], tasks: [] },
      triggers: [],
      binaries: { "linux-x64": { sha256: binary, bytes: 6 } },
    };
    await journey.registry.registerRelease({ manifest, by: "test" });
    journey.close();
    for (let days = 0; days < 8; days += 1) {
      stand.clock.advance(dayMs);
      await sweep();
    }
    expect(isThere(binary)).toBe(true);
  });
});

describe("who refers to a blob while it is about to leave", () => {
  it("C9 wins over the sweep that has already looked for references", async () => {
    const digest = await put("raced for");
    stand.clock.advance(dayMs + minuteMs);
    const { promise: hasLooked, resolve: looked } = Promise.withResolvers<void>();
    const { promise: referred, resolve: goOn } = Promise.withResolvers<void>();
    // This coordinator pauses between its look for references and the commit that dooms.
    const engine = Object.assign(Object.create(stand.engine), {
      async range(...args: Parameters<typeof stand.engine.range>) {
        const answer = await stand.engine.range(...args);
        if (args[0].endsWith("kept/blobs")) {
          looked();
          await referred;
        }
        return answer;
      },
    });
    const slow = stand.coordinator({}, { engine });
    const sweeping = sweepAll(stand, slow.retention);
    await hasLooked;
    expect(await one.blobs.touch([valueIn(digest)])).toEqual([]);
    await refer(valueIn(digest));
    goOn();
    await sweeping;
    expect((await recordOf(digest))?.doomedAtMs).toBeNull();
    stand.clock.advance(3 * hourMs);
    await sweep();
    await sweep(slow);
    expect(isThere(digest)).toBe(true);
    expect((await recordOf(digest))?.doomedAtMs).toBeNull();
  });

  it("C9 takes a doomed blob off its way out, and is told when it comes too late", async () => {
    const digest = await put("late");
    stand.clock.advance(dayMs + minuteMs);
    await sweep();
    const two = stand.coordinator();
    expect(await two.blobs.touch([valueIn(digest)])).toEqual([]);
    await refer(valueIn(digest));
    stand.clock.advance(2 * hourMs);
    await sweep();
    expect(isThere(digest)).toBe(true);
    const gone = await put("too late");
    stand.clock.advance(dayMs + minuteMs);
    await sweep();
    stand.clock.advance(hourMs);
    await sweep();
    expect(await stand.coordinator().blobs.touch([valueIn(gone)])).toEqual([gone]);
  });

  it("C9 is safe for as long as half a day from its touch to its commit", async () => {
    const digest = await put("slow commit");
    stand.clock.advance(12 * hourMs - minuteMs);
    await sweep();
    // Touched lately enough: nothing is written, and the commit may take its time.
    expect(await one.blobs.touch([valueIn(digest)])).toEqual([]);
    stand.clock.advance(12 * hourMs - minuteMs);
    await sweep();
    await refer(valueIn(digest));
    stand.clock.advance(3 * dayMs);
    await sweep();
    await sweep();
    expect(isThere(digest)).toBe(true);
  });
});

describe("an upload", () => {
  it("C9 that is under way for days is not deleted under its uploader", async () => {
    const bytes = Buffer.from("slowly");
    const body = new PassThrough();
    const uploading = one.blobs.put(sha256(bytes), body, bytes.length);
    for (const byte of bytes) {
      body.write(Buffer.from([byte]));
      stand.clock.advance(9 * hourMs);
      await sweep();
    }
    body.end();
    expect(await uploading).toEqual({ bytes: 6 });
    stand.clock.advance(20 * hourMs);
    await sweep();
    expect(await stand.coordinator().blobs.has([sha256(bytes)])).toEqual([6]);
  });

  it("C9 waits while bytes of the same blob are being deleted, and its own stay", async () => {
    const digest = await put("twice");
    stand.clock.advance(dayMs + minuteMs);
    await sweep();
    stand.clock.advance(hourMs);
    const { promise: hasBegun, resolve: begun } = Promise.withResolvers<void>();
    const remove = stand.store.delete;
    stand.store.delete = async (which) => {
      begun();
      await new Promise((resolve) => setTimeout(resolve, 300));
      await remove(which);
    };
    const sweeping = sweep();
    await hasBegun;
    await Promise.all([put("twice", stand.coordinator()), sweeping]);
    expect(isThere(digest)).toBe(true);
    expect((await recordOf(digest))?.deletingAtMs).toBeNull();
  });

  it("C9 goes on when the coordinator that was deleting the same blob has crashed", async () => {
    const digest = await put("half deleted");
    stand.clock.advance(dayMs + minuteMs);
    await sweep();
    stand.clock.advance(hourMs);
    const remove = stand.store.delete;
    stand.store.delete = () => new Promise(() => undefined);
    void sweep();
    await until(async () => (await recordOf(digest))?.deletingAtMs !== null, "the deletion has begun");
    stand.store.delete = remove;
    const two = stand.coordinator();
    await sweep(two);
    expect(isThere(digest)).toBe(true);
    stand.clock.advance(11 * minuteMs);
    await sweep(two);
    expect([isThere(digest), await recordOf(digest)]).toEqual([false, null]);
    await put("half deleted", two);
    expect(isThere(digest)).toBe(true);
  });

  it("C9 is not undone by a coordinator that was paused between marking and deleting", async () => {
    const digest = await put("paused over");
    stand.clock.advance(dayMs + minuteMs);
    await sweep();
    stand.clock.advance(hourMs);
    const engine = Object.assign(Object.create(stand.engine), {
      async commit(...args: Parameters<typeof stand.engine.commit>) {
        const committed = await stand.engine.commit(...args);
        // It is stopped with the answer on its way, for longer than others wait for it.
        if (JSON.stringify(args[1]).includes('deletingAtMs\\":1')) stand.clock.advance(30 * minuteMs);
        return committed;
      },
    });
    await sweep(stand.coordinator({}, { engine }));
    expect(isThere(digest)).toBe(true);
    await sweep();
    expect(isThere(digest)).toBe(false);
  });
});
