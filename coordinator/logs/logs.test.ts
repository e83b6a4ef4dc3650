import { describe, expect, it } from "vitest";
import { type CallKey, newRunId, partitionAt, taskId } from "#shared/domain/ids.ts";
import type { LogChunk } from "#shared/protocol/agent.ts";
import type { LogRow } from "#shared/protocol/api.ts";
import { createStand, type Stand } from "../api/api-stand.ts";
import { type RunRecord, runKey } from "../records.ts";
import { createLogs } from "./logs.ts";

async function createRun(stand: Stand, fence = 100) {
  const run = newRunId(partitionAt(0), stand.clock, stand.random);
  const task = taskId(run, "score#1" as CallKey);
  const other = taskId(run, "score#2" as CallKey);
  const record = { id: run, state: "open" } as RunRecord;
  const setState = (state: string) =>
    stand.engine.commit(partitionAt(0), [
      {
        checks: [],
        writes: [{ kind: "set", key: runKey(run), stamp: `s-${state}`, value: JSON.stringify({ ...record, state }) }],
      },
    ]);
  await setState("open");
  const grant = async () => {
    const queue = (member: string) => ({ kind: "enqueue", queue: "q", member, score: { at: 0 } }) as const;
    const want = { holdMs: 5_000, wants: [{ holder: "agt", queues: ["q"], take: 2 }] };
    const { claims } = await stand.engine.commit(
      partitionAt(0),
      [{ checks: [], writes: [queue(task), queue(other)] }],
      want,
    );
    return new Map(claims.map((claim) => [claim.member, claim.fence]));
  };
  const fences = await grant();
  const chunk = (offset: number, text: string, changes: Partial<LogChunk> = {}): LogChunk => ({
    task,
    fence: fences.get(changes.task ?? task) ?? fence,
    stream: "stdout",
    offset,
    text,
    atMs: 1,
    ...changes,
  });
  return { run, task, other, chunk, setState, grant, fence: fences.get(task) ?? 0 };
}

const texts = (rows: readonly LogRow[]): string[] => rows.map(({ text, base64 }) => text ?? `base64:${base64}`);

describe("appendLogs", () => {
  it("C15 keeps each byte of a stream once, however often and in whatever pieces it is sent again", async () => {
    const stand = await createStand();
    const { run, chunk } = await createRun(stand);
    const key = "score#1" as CallKey;
    await stand.logs.appendLogs([chunk(0, "one\n"), chunk(4, "two\n")]);
    await stand.logs.appendLogs([chunk(0, "one\n")]);
    await stand.logs.appendLogs([chunk(4, "two\nthree\n"), chunk(0, "err\n", { stream: "stderr" })]);
    await Promise.all([1, 2, 3].map(() => stand.logs.appendLogs([chunk(14, "four\n")])));
    const rows = await stand.logs.readLogs({ run, key, after: 0, limit: 100 });
    expect(rows.map(({ stream, offset, text }) => [stream, offset, text])).toEqual([
      ["stdout", 0, "one\n"],
      ["stdout", 4, "two\n"],
      ["stdout", 8, "three\n"],
      ["stderr", 0, "err\n"],
      ["stdout", 14, "four\n"],
    ]);
    expect(rows.map(({ position }) => position)).toEqual([1, 2, 3, 4, 5]);
  });

  it("cuts an overlap between bytes, also within a character", async () => {
    const stand = await createStand();
    const { run, chunk } = await createRun(stand);
    await stand.logs.appendLogs([chunk(0, "", { base64: Buffer.from("aä").subarray(0, 2).toString("base64") })]);
    await stand.logs.appendLogs([chunk(0, "aä!")]);
    const rows = await stand.logs.readLogs({ run, key: "score#1" as CallKey, after: 0, limit: 100 });
    const bytes = rows.map(({ text, base64 }) =>
      base64 === undefined ? Buffer.from(text ?? "") : Buffer.from(base64, "base64"),
    );
    expect(Buffer.concat(bytes).toString()).toBe("aä!");
  });

  it("C11 drops what an attempt writes that has lost its lease, and says so", async () => {
    const stand = await createStand();
    const { run, task, chunk, fence, grant } = await createRun(stand);
    await stand.logs.appendLogs([chunk(0, "old")]);
    await stand.engine.commit(partitionAt(0), [{ checks: [], writes: [{ kind: "release", member: task }] }]);
    expect((await stand.logs.appendLogs([chunk(3, " tail")])).stale).toEqual([]);
    const newer = (await grant()).get(task) ?? 0;
    expect(newer).toBeGreaterThan(fence);
    const { stale } = await stand.logs.appendLogs([chunk(8, "stale"), chunk(0, "new", { fence: newer })]);
    expect(stale).toEqual([{ task, fence }]);
    const rows = await stand.logs.readLogs({ run, key: "score#1" as CallKey, after: 0, limit: 10 });
    expect(texts(rows)).toEqual(["old", " tail", "new"]);
  });

  it("keeps at most so many bytes of a task and marks where it cut", async () => {
    const stand = await createStand();
    const { run, chunk } = await createRun(stand);
    const logs = createLogs({ ...stand, logBytesPerTaskMax: 10 });
    await logs.appendLogs([chunk(0, "12345678")]);
    await logs.appendLogs([chunk(8, "9abcdef")]);
    await logs.appendLogs([chunk(15, "more"), chunk(19, "and more")]);
    const rows = await logs.readLogs({ run, key: "score#1" as CallKey, after: 0, limit: 10 });
    expect(rows.map(({ text, cut }) => [text, cut])).toEqual([
      ["12345678", undefined],
      ["9a", true],
    ]);
  });
});

describe("followLogs", () => {
  it("gives all tasks' output in the order of its arrival, goes on from any position, and ends with the run", async () => {
    const stand = await createStand();
    const { run, other, chunk, setState } = await createRun(stand);
    await stand.logs.appendLogs([chunk(0, "a1 "), chunk(3, "a2 "), chunk(0, "b1 ", { task: other })]);
    const seen: LogRow[] = [];
    const following = (async () => {
      for await (const rows of stand.logs.followLogs({ run, after: 0 }, new AbortController().signal))
        seen.push(...rows);
    })();
    await stand.logs.appendLogs([chunk(6, "a3 ")]);
    await stand.logs.appendLogs([chunk(3, "b2 ", { task: other })]);
    await setState("succeeded");
    await stand.logs.appendLogs([chunk(9, "a4 ")]);
    await following;
    expect(texts(seen).join("")).toBe("a1 a2 b1 a3 b2 a4 ");
    for (const { position } of seen) {
      const rest = await stand.logs.readLogs({ run, after: position, limit: 100 });
      expect(texts(rest)).toEqual(texts(seen.filter((row) => row.position > position)));
    }
  });

  it("stops waiting when its reader is gone", async () => {
    const stand = await createStand();
    const { run } = await createRun(stand);
    const gone = new AbortController();
    const following = stand.logs.followLogs({ run, after: 0 }, gone.signal).next();
    gone.abort();
    expect((await following).done).toBe(true);
  });
});
