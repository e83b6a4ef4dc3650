import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sha256 } from "#shared/domain/ids.ts";
import type { Work } from "#shared/protocol/task.ts";
import { FakeAgent } from "./testing/fake-agent.ts";

const entry = new URL("./testing/socket-project.ts", import.meta.url).pathname;

let agent: FakeAgent;
beforeEach(async () => {
  agent = await FakeAgent.listen(entry);
});
afterEach(() => agent.close());

async function started(...args: string[]): Promise<FakeAgent> {
  agent.spawn(...args);
  await agent.next("hello");
  return agent;
}

/** Has one task executed and accepted. */
async function execute(name: string, input: unknown = null) {
  const work = agent.work({ kind: "task", name }, input);
  agent.send(work);
  const done = await agent.next("done", ({ argsId }) => argsId === work.argsId);
  agent.send({ t: "accepted", argsId: work.argsId, end: true });
  return done;
}

const json = (value: unknown): unknown => JSON.parse((value as { json: string }).json);

describe("a program over its socket", () => {
  test("C18 proves its session, and hides what the agent gave it from tasks", async () => {
    agent.spawn();
    expect(await agent.next("hello")).toMatchObject({ protocol: 1, session: "secret", argsId: null, working: [] });
    expect(json((await execute("where")).output)).toMatchObject({ secrets: [] });
  });

  test("C19 resets environment, working and temporary folder between tasks", async () => {
    await started();
    for (let round = 0; round < 3; round++) {
      expect(json((await execute("where")).output)).toMatchObject({ env: null, cwd: true, tmp: true });
    }
  });

  test("T3 says how long its output is, so that it is known whose it is", async () => {
    await started();
    const first = await execute("where");
    const second = await execute("where");
    expect([first.offsets.stdout, second.offsets.stdout]).toEqual([5, 10]);
    expect(agent.output("stdout")).toBe("here\nhere\n");
  });

  test.each(["leaves-timer", "leaves-child"])(
    "C19 %s: the program ends once its answer is accepted, and gives back what it has not begun",
    async (name) => {
      await started();
      const [work, next] = [agent.work({ kind: "task", name }), agent.work({ kind: "task", name: "noop" })];
      agent.send(work, next);
      await agent.next("done");
      agent.send({ t: "accepted", argsId: work.argsId, end: true });
      expect(await agent.exitCode()).toBe(0);
      expect(agent.frames).toEqual([{ t: "unbegun", argsId: next.argsId }]);
    },
  );

  test("C19 executes a prefetched thousand in order", async () => {
    await started();
    const works = Array.from({ length: 1_000 }, () => agent.work({ kind: "task", name: "noop" }));
    agent.send(...works);
    for (const work of works) expect((await agent.next("done")).argsId).toBe(work.argsId);
  });

  test("C22 values above 16 KiB go as files of the work folder, both ways", async () => {
    await started();
    const at = await execute("large", 16_382);
    expect(at.output).toHaveProperty("json");
    const { output } = await execute("large", 16_383);
    if (!("path" in output)) throw new Error("the output is inline");
    expect(output.bytes).toBe(16_385);
    expect(JSON.parse(readFileSync(output.path, "utf8"))).toHaveLength(16_383);

    const work = agent.work({ kind: "workflow", name: "waits-for-signal", journalEnd: 1 });
    const value = { path: join(work.folder, "signal.json"), bytes: 4 };
    writeFileSync(value.path, '"go"');
    agent.send(work, {
      t: "settled",
      argsId: work.argsId,
      entries: [{ p: 1, at: 1, e: "signal", id: "s", name: "go", value }],
    });
    expect((await agent.next("done")).output).toEqual({ json: '"go"' });
  });

  test("C18 keeps its answer over a lost connection until it is accepted", async () => {
    await started();
    const work = agent.work({ kind: "task", name: "noop" });
    agent.send(work);
    await agent.next("done");
    agent.cut();
    expect(await agent.next("hello")).toMatchObject({ working: [{ argsId: work.argsId, given: 0 }] });
    agent.send({ t: "resume", argsId: work.argsId });
    expect(await agent.next("done")).toMatchObject({ argsId: work.argsId });
  });

  test("C18 finishes while no agent is there, and dials until one is", async () => {
    await started();
    const work = agent.work({ kind: "task", name: "where" });
    agent.send(work);
    await agent.next("done");
    await agent.restart();
    expect(await agent.next("hello")).toMatchObject({ working: [{ argsId: work.argsId }] });
    agent.send({ t: "resume", argsId: work.argsId });
    await agent.next("done");
  });

  test("with --input it asks for that work, and ends when its answer is accepted", async () => {
    agent.spawn("--input", "a1");
    expect(await agent.next("hello")).toMatchObject({ argsId: "a1" });
    await execute("noop");
    expect(await agent.exitCode()).toBe(0);
  });

  test.each(["throws-later", "rejects-apart"])(
    "%s: an error that nobody caught fails the task, then the program ends",
    async (name) => {
      await started();
      const work = agent.work({ kind: "task", name });
      agent.send(work);
      expect(await agent.next("fail")).toMatchObject({ argsId: work.argsId, failure: { type: "TypeError" } });
      agent.send({ t: "accepted", argsId: work.argsId, end: true });
      expect(await agent.exitCode()).toBe(1);
      expect(agent.output("stderr")).toContain("TypeError");
    },
  );

  test("C20 an error that a workflow lost fails that run alone", async () => {
    await started();
    const [lost, other] = ["loses-a-promise", "naps"].map((name) =>
      agent.work({ kind: "workflow", name, journalEnd: 0 }, 5),
    );
    agent.send(other as Work, lost as Work);
    expect(await agent.next("fail")).toMatchObject({
      argsId: lost?.argsId,
      failure: { type: "TypeError", message: "lost" },
    });
    expect(await agent.next("calls")).toMatchObject({ argsId: other?.argsId });
  });

  test("C20 hosts 64 workflows at once, each with its own calls", async () => {
    await started();
    const works = Array.from({ length: 64 }, (_, n) =>
      agent.work({ kind: "workflow", name: "naps", journalEnd: 0 }, n),
    );
    agent.send(...works);
    for (const [n, { argsId }] of works.entries()) {
      const { calls } = await agent.next("calls", (frame) => frame.argsId === argsId);
      expect(calls).toMatchObject([{ key: "sleep#1", forMs: n }]);
      const [sleeping] = calls;
      if (sleeping === undefined) throw new Error("no call");
      const { key, digest } = sleeping;
      agent.send({
        t: "settled",
        argsId,
        entries: [{ p: 1, at: 1, e: "called", key, kind: "sleep", name: "sleep", digest }],
      });
      agent.send({ t: "settled", argsId, entries: [{ p: 2, at: 2, e: "settled", key, outcome: "succeeded" }] });
      const [one] = (await agent.next("calls", (frame) => frame.argsId === argsId)).calls;
      expect(one).toMatchObject({ key: "one#1", awaited: true });
    }
  });

  test("C23 a cancel aborts the task's signal, and the answer says so", async () => {
    await started();
    const work = agent.work({ kind: "task", name: "waits" });
    agent.send(work);
    expect(await agent.next("progress")).toMatchObject({ fraction: 0.5, message: "half" });
    agent.send({ t: "cancel", argsId: work.argsId, reason: "enough" });
    expect(await agent.next("fail")).toMatchObject({ failure: { type: "CancelledError", retryable: false } });
  });

  test("files go out by digest, and come in by fetch", async () => {
    await started();
    const { output, files } = await execute("makes-file");
    const digest = sha256("a,b\n");
    expect(files).toMatchObject([{ sha256: digest, bytes: 4 }]);
    expect(json(output)).toMatchObject({
      report: { $salt: "file", v: { sha256: digest, bytes: 4, name: "report.csv" } },
    });
    const work = agent.work({ kind: "task", name: "reads-file" }, json(output));
    agent.send(work);
    expect(await agent.next("fetch")).toMatchObject({ sha256: digest });
    agent.send({ t: "fetched", argsId: work.argsId, sha256: digest, path: files?.[0]?.path ?? "" });
    expect(json((await agent.next("done")).output)).toBe("a,b\n");
  });

  test("C15 an emitted value has a key of its own, and is sent again until it is accepted", async () => {
    await started();
    const work = agent.work({ kind: "task", name: "emits" });
    agent.send(work);
    await agent.next("done");
    const emits = agent.frames.filter(({ t }) => t === "emit");
    expect(emits).toMatchObject([{ key: "row#1" }, { key: "row#2" }, { key: "own" }]);
    agent.frames.length = 0;
    agent.send({ t: "accepted", argsId: work.argsId, emits: ["row#1"] });
    agent.cut();
    await agent.next("hello");
    agent.send({ t: "resume", argsId: work.argsId });
    await agent.next("done");
    expect(agent.frames).toMatchObject([{ key: "row#2" }, { key: "own" }]);
    expect(agent.output("stdout")).toContain('told {"n":1}');
  });
});

describe("main", () => {
  const run = async (...args: string[]) => {
    agent.spawn(...args);
    return { code: await agent.exitCode(), stdout: agent.output("stdout"), stderr: agent.output("stderr") };
  };

  test("describe prints what the project declares", async () => {
    const { code, stdout } = await run("describe");
    expect(code).toBe(0);
    const description = JSON.parse(stdout);
    expect(description).toMatchObject({ protocol: 1, sdk: { language: "typescript" } });
    expect(description.tasks).toContainEqual({
      name: "third-time",
      input: true,
      output: true,
      checks: [],
      options: { retry: { attempts: 3, backoffMs: 1 } },
    });
  });

  test("run executes a workflow in the process: the output alone on stdout", async () => {
    expect(await run("run", "naps", "--input", "5")).toMatchObject({ code: 0, stdout: "6\n" });
  });

  test("run gives signals, and says what it waits for when nothing gives it", async () => {
    expect(await run("run", "waits-for-signal", "--signal", 'go={"by":"ann"}')).toMatchObject({
      code: 0,
      stdout: '{"by":"ann"}\n',
    });
    const { code, stderr } = await run("run", "waits-for-signal");
    expect(code).toBe(1);
    expect(stderr).toContain("--signal go=");
  });

  test.each([
    [["run", "naps", "--input", '"x"'], 6, "InvalidInput"],
    [["run", "naps", "--input", "{"], 2, "--input is not JSON"],
    [["run", "nowhere"], 3, "There is no workflow 'nowhere'"],
    [["run"], 2, "Name one workflow"],
    [["run", "naps", "--nope"], 2, "--nope"],
    [["frobnicate"], 2, "Unknown command 'frobnicate'"],
    [["--input"], 1, "--input takes one args-id"],
  ])("%j ends with code %i and says why", async (args, code, text) => {
    const ended = await run(...args);
    expect(ended.code).toBe(code);
    expect(ended.stderr).toContain(text);
    expect(ended.stdout).toBe("");
  });
});
