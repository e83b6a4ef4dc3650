import { afterEach, expect, test } from "vitest";
import { fakeProgram } from "./fakes/fake-program.ts";
import { openStand, type Stand } from "./fakes/stand.ts";

const program = fakeProgram();
let stand: Stand;
afterEach(() => stand.close());

test("A granted task is executed by its binary, and its output reported", async () => {
  stand = await openStand();
  const { coordinator } = stand;
  const [report] = await coordinator.settle(
    coordinator.lease(program, "echo", { n: 7 }, { refs: { "a#1": { json: "3" } } }),
  );
  expect(report?.result).toMatchObject({ kind: "done" });
  const output = report?.result.kind === "done" && "json" in report.result.output ? report.result.output.json : "";
  expect(JSON.parse(output)).toMatchObject({
    input: { n: 7 },
    refs: { "a#1": { json: "3" } },
    attempt: 1,
    name: "echo",
  });
});
