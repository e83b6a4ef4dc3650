import { describe, expect, it } from "vitest";
import { connect, ended, start } from "../tests/support/history-steps.ts";

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
