import { describe, expect, it } from "vitest";
import type { CallKey, RunId } from "#shared/domain/ids.ts";
import { runOfTask, taskId } from "#shared/domain/ids.ts";
import { taskCall } from "../tests/support/fake-agent.ts";
import { connect, ended, start, task, until } from "../tests/support/history-steps.ts";
import { countKey } from "./records.ts";
import { resolveDependents } from "./settle/resolve-dependents.ts";

describe("a workflow's attempt that ended without an answer", () => {
  it("C23 is replayed while its cancelled run still cleans up, so that the compensation is not lost", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    await journey.runs.cancelRun({ run, reason: "enough", by: "test" });
    const failure = { type: "ProgramExited", message: "exit 1", retryable: true };
    agent.report(workflow, { kind: "fail", failure });
    const again = await agent.lease();
    expect(again).toMatchObject({ task: workflow.task, attempt: 2 });
    agent.fail(again, { type: "CancelledError" });
    await ended(journey, run);
    expect(await journey.read(run)).toMatchObject({ state: "cancelled" });
  });

  it("C23 is replayed when the agent could not bring it a value, as another agent may", async () => {
    const journey = await start();
    const agent = await connect(journey, 0, 1);
    await journey.open();
    const workflow = await agent.lease();
    const failure = { type: "ValueUnavailable", message: "the blob store does not answer", retryable: true };
    agent.report(workflow, { kind: "fail", failure });
    expect(await agent.lease()).toMatchObject({ task: workflow.task, attempt: 2 });
  });
});

describe("a run that is tried again", () => {
  it("C23 counts the warnings of what it takes over", async () => {
    const journey = await start();
    const agent = await connect(journey, 1, 1);
    const run = await journey.open();
    const workflow = await agent.lease();
    agent.calls(workflow, [taskCall("work#1")]);
    const checks = [{ name: "odd", result: "warn" }] as const;
    agent.report(await agent.lease(), { kind: "done", output: { json: "1" }, checks: [...checks] });
    await agent.entries((entry) => entry.e === "settled");
    agent.fail(workflow);
    await ended(journey, run);
    const next = await journey.runs.retryRun({ run, by: "test" });
    const { found } = await journey.engine.get([countKey(next as RunId, "warnings")]);
    expect(found[0]?.value).toBe("1");
  });
});

describe("a failure that was forgotten by a failover", () => {
  it("C16 fails no dependent, although a coordinator that saw it is about to", async () => {
    const journey = await start();
    const agent = await connect(journey, 2, 1);
    const run = await journey.open();
    agent.calls(await agent.lease(), [taskCall("work#1"), taskCall("other#1", { refs: ["work#1"] })]);
    const work = await agent.lease();
    await resolveDependents(journey, taskId(runOfTask(work.task), "work#1" as CallKey));
    expect(await task(journey, run, "other#1")).toMatchObject({ state: "waiting" });
    agent.done(work, 1);
    await until(async () => (await task(journey, run, "other#1")).state === "ready");
  });
});
