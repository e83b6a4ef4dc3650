import { expect, it } from "vitest";
import { runWithin } from "./watchdog.ts";

it("A71 stops what computes without end", () => {
  const before = performance.now();
  expect(runWithin(50, () => /^(a+)+$/.test(`${"a".repeat(60)}!`))).toBe("stopped");
  expect(performance.now() - before).toBeLessThan(5_000);
  expect(runWithin(50, () => "answered")).toBe("answered");
});

it("runs again what was stopped only because the process was given no time", () => {
  const sleeping = new Int32Array(new SharedArrayBuffer(4));
  let calls = 0;
  const answer = runWithin(40, () => {
    calls += 1;
    // A thread that sleeps computes nothing, as one that the machine does not run.
    if (calls === 1) for (let slept = 0; slept < 20; slept++) Atomics.wait(sleeping, 0, 0, 10);
    return "answered";
  });
  expect({ answer, calls }).toEqual({ answer: "answered", calls: 2 });
});
