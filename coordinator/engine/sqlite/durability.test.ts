import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { copyFile, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemClock } from "#shared/system.ts";
import { type Engine, keyIn, leaseKey, leasesIndex, queuesIndex, type Transaction } from "../engine.ts";
import { ManualClock } from "../manual-clock.ts";
import { openDatabase } from "./open-database.ts";
import { createSqliteEngine, SqliteEngine } from "./sqlite-engine.ts";

const partition = partitionAt(0);
const key = (name: string) => keyIn(partition, name);
const setting = (name: string, value: string): Transaction => ({
  checks: [],
  writes: [{ kind: "set", key: key(name), stamp: "s1", value }],
});

let folder: string;
let file: string;
const children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "salt-durability-"));
  file = join(folder, "state", "salt.db");
});
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child);
  await rm(folder, { recursive: true });
});

/** Commits numbers until it is killed. `numbers` are those whose commit it has seen answered. */
function startCommitting(): { child: ChildProcess; numbers: () => number[]; reach: (count: number) => Promise<void> } {
  const program = fileURLToPath(new URL("./committing-process.ts", import.meta.url));
  const child = spawn(process.execPath, [program, file], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString();
  });
  const numbers = () => text.split("\n").slice(0, -1).map(Number);
  const reach = async (count: number) => {
    while (numbers().length < count) await once(child.stdout ?? child, "data");
  };
  return { child, numbers, reach };
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "close");
}

test("G6 after kill -9 every acknowledged commit is there, and none is half there", async () => {
  let before = 0;
  for (const kills of [1, 40, 200, 3]) {
    const { child, numbers, reach } = startCommitting();
    await reach(kills);
    await kill(child);
    const acknowledged = numbers().at(-1) ?? 0;
    const engine = createSqliteEngine({ file, clock: systemClock });
    const count = await expectWhole(engine);
    await engine.close();
    expect(count).toBeGreaterThanOrEqual(acknowledged);
    expect(count).toBeLessThanOrEqual(acknowledged + 1);
    expect(numbers()).toEqual(Array.from({ length: numbers().length }, (_, n) => before + n + 1));
    before = count;
  }
});

/** Every number up to the counter's is in every kind of thing that its commit wrote, and no other is in any. */
async function expectWhole(engine: Engine): Promise<number> {
  const { found } = await engine.get([key("count"), key("last")]);
  const count = Number(found[0]?.value);
  const all = Array.from({ length: count }, (_, n) => String(n + 1));
  expect(found[1]?.stamp).toBe(String(count));
  expect((await engine.read(key("log"), 0, 100_000)).map(({ value }) => value)).toEqual(all);
  expect((await engine.range(key("index"), { limit: 100_000 })).rows.map(({ member }) => member)).toEqual(all);
  expect((await engine.range(leasesIndex(partition), { limit: 100_000 })).rows).toHaveLength(count);
  expect((await engine.range(queuesIndex(partition), { limit: 10 })).rows).toEqual([]);
  const fences = (await engine.get(all.map((member) => leaseKey(partition, member)))).found.map(({ stamp }) =>
    Number(stamp),
  );
  expect(fences.every((fence, index) => index === 0 || fence > (fences[index - 1] ?? fence))).toBe(true);
  return count;
}

test("a file that another process has open is refused, until that process has ended, however it ended", async () => {
  const { child, reach } = startCommitting();
  await reach(1);
  expect(() => createSqliteEngine({ file, clock: systemClock })).toThrow(
    expect.objectContaining({
      code: "Unavailable",
      message: `Cannot open the database ${file}: another process has it open.`,
      next: expect.stringContaining("Stop the other coordinator"),
    }),
  );
  await kill(child);
  await createSqliteEngine({ file, clock: systemClock }).close();
});

test("a file that this process has open is refused too", async () => {
  const engine = createSqliteEngine({ file, clock: systemClock });
  expect(() => createSqliteEngine({ file, clock: systemClock })).toThrow("another process has it open");
  await engine.commit(partition, [setting("a", "1")]);
  await engine.close();
});

test("reopening keeps records, counters, indexes, logs, queues and leases", async () => {
  const clock = new ManualClock();
  const first = createSqliteEngine({ file, clock });
  await first.commit(
    partition,
    [
      setting("a", "1"),
      {
        checks: [],
        writes: [
          { kind: "add", counter: key("count"), delta: 3 },
          { kind: "rank", index: key("index"), member: "m", score: { at: 1.5 }, value: "v" },
          { kind: "append", log: key("log"), value: "x" },
          { kind: "enqueue", queue: "q", member: "m1", score: { at: 1 } },
          { kind: "enqueue", queue: "q", member: "m2", score: { at: 2 } },
        ],
      },
    ],
    { holdMs: 1_000, wants: [{ holder: "h", queues: ["q"], take: 1 }] },
  );
  const look = async (engine: Engine) => ({
    found: await engine.get([key("a"), key("count"), leaseKey(partition, "m1")]),
    log: await engine.read(key("log"), 0, 10),
    rows: await Promise.all(
      [key("index"), leasesIndex(partition), queuesIndex(partition)].map((index) => engine.range(index, { limit: 10 })),
    ),
  });
  const before = await look(first);
  await first.close();
  const second = createSqliteEngine({ file, clock });
  expect(await look(second)).toEqual(before);
  await second.close();
});

test("C2 C11 time and fences go on from what was stored, with a machine whose clock was set back meanwhile", async () => {
  const clock = new ManualClock();
  const grant = async (engine: Engine) => {
    const enqueue: Transaction = {
      checks: [],
      writes: [{ kind: "enqueue", queue: "q", member: "m", score: { at: 1 } }],
    };
    return engine.commit(partition, [enqueue], {
      holdMs: 1_000,
      wants: [{ holder: "h", queues: ["q"], take: 1 }],
    });
  };
  const first = createSqliteEngine({ file, clock });
  const before = await grant(first);
  await first.close();
  clock.set(clock.nowMs() - 86_400_000);
  const second = createSqliteEngine({ file, clock });
  const after = await grant(second);
  expect(after.nowMs).toBe(before.nowMs);
  expect(after.claims[0]?.fence).toBeGreaterThan(before.claims[0]?.fence ?? Number.POSITIVE_INFINITY);
  await second.close();
});

test("C2 C11 an engine that ended without closing goes on from later times and fences, also with a clock set back", async () => {
  const clock = new ManualClock();
  const grant = (engine: Engine, member: string) =>
    engine.commit(partition, [{ checks: [], writes: [{ kind: "enqueue", queue: "q", member, score: { at: 1 } }] }], {
      holdMs: 1_000,
      wants: [{ holder: "h", queues: ["q"], take: 1 }],
    });
  const first = createSqliteEngine({ file, clock });
  // Commits of one instant, the next instants and much later: some store the time, others rely on what is stored.
  for (const passMs of [0, 0, 1, 99, 1, 5_000, 3]) {
    clock.pass(passMs);
    const before = await grant(first, `m${passMs}`);
    const left = join(folder, "left.db");
    for (const end of ["", "-wal"]) await copyFile(`${file}${end}`, `${left}${end}`);
    const setBack = new ManualClock(clock.nowMs() - 86_400_000);
    const second = createSqliteEngine({ file: left, clock: setBack });
    const after = await grant(second, "next");
    expect(after.nowMs).toBeGreaterThanOrEqual(before.nowMs);
    expect(after.claims[0]?.fence).toBeGreaterThan(before.claims[0]?.fence ?? Number.POSITIVE_INFINITY);
    await second.close();
  }
  await first.close();
});

test("a database that a newer Salt wrote is refused and left as it is", async () => {
  await createSqliteEngine({ file, clock: systemClock }).close();
  const db = new DatabaseSync(file);
  db.exec("UPDATE engine SET schema_version = 2");
  db.close();
  expect(() => createSqliteEngine({ file, clock: systemClock })).toThrow(
    expect.objectContaining({
      code: "Unavailable",
      retryable: false,
      message: expect.stringContaining("its schema has version 2, and this Salt knows version 1"),
      next: expect.stringContaining("newer"),
    }),
  );
});

test("a file that is no database, or another program's, is refused with what to do", async () => {
  const other = join(folder, "other.db");
  const db = new DatabaseSync(other);
  db.exec("CREATE TABLE songs (title TEXT)");
  db.close();
  expect(() => createSqliteEngine({ file: other, clock: systemClock })).toThrow("a database of another program");
  const text = join(folder, "notes.txt");
  await writeFile(text, "not a database at all, however long this text may go on for".repeat(20));
  expect(() => createSqliteEngine({ file: text, clock: systemClock })).toThrow(
    expect.objectContaining({ code: "Unavailable", next: expect.stringContaining("backup") }),
  );
  expect(() => createSqliteEngine({ file: folder, clock: systemClock })).toThrow(
    expect.objectContaining({ code: "Unavailable", next: expect.any(String) }),
  );
});

test("A72 the file and its folder are its owner's alone", async () => {
  const engine = createSqliteEngine({ file, clock: systemClock });
  await engine.commit(partition, [setting("a", "1")]);
  for (const path of [file, `${file}-wal`].filter(existsSync)) expect((await stat(path)).mode & 0o077).toBe(0);
  expect((await stat(join(folder, "state"))).mode & 0o077).toBe(0);
  await engine.close();
});

test("a full disk is NoSpace, with nothing half done, and the engine goes on when there is room again", async () => {
  const db = openDatabase(file);
  const engine = new SqliteEngine(db, systemClock);
  const pages = Number(db.prepare("PRAGMA page_count").get()?.page_count);
  db.exec(`PRAGMA max_page_count = ${pages + 2}`);
  const hints = engine.listen(["topic"], new AbortController().signal)[Symbol.asyncIterator]();
  const large: Transaction[] = [
    setting("small", "1"),
    { checks: [], writes: [{ kind: "signal", topic: "topic", note: "" }] },
    setting("large", "x".repeat(100_000)),
  ];
  await expect(engine.commit(partition, large)).rejects.toMatchObject({
    code: "NoSpace",
    retryable: true,
    message: "Cannot commit: the disk is full.",
    next: expect.stringContaining("Free space"),
  });
  const { found } = await engine.get([key("small"), key("large")]);
  expect(found.map(({ stamp }) => stamp)).toEqual([null, null]);
  db.exec("PRAGMA max_page_count = 100000");
  expect((await engine.commit(partition, large)).results.map(({ outcome }) => outcome)).toEqual([
    "applied",
    "applied",
    "applied",
  ]);
  expect((await hints.next()).value).toEqual({ topic: "topic", note: "" });
  await engine.close();
});

test("an index kept for `queues` equals a recount after a commit that failed", async () => {
  const db = openDatabase(file);
  const engine = new SqliteEngine(db, systemClock);
  const enqueue: Transaction = { checks: [], writes: [{ kind: "enqueue", queue: "q", member: "m", score: { at: 1 } }] };
  const broken: Transaction = { checks: [], writes: [{ kind: "add", counter: key("a"), delta: 1 }] };
  await engine.commit(partition, [setting("a", "1")]);
  await expect(engine.commit(partition, [enqueue, broken])).rejects.toThrow("a record and not a counter");
  expect((await engine.range(queuesIndex(partition), { limit: 9 })).rows).toEqual([]);
  await engine.commit(partition, [enqueue]);
  expect((await engine.range(queuesIndex(partition), { limit: 9 })).rows.map(({ member }) => member)).toEqual(["q"]);
  await engine.close();
});
