import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { AgentToProgramFrame } from "#shared/protocol/task.ts";
import { transcriptCases } from "../conformance/make-table.ts";
import { recordResults } from "../conformance/results.ts";
import { testProgram } from "./testing/test-program.ts";
import "./testing/conformance-project.ts";

interface Case {
  name: string;
  rule: string;
  steps: Step[];
}
type Step = { in: unknown } | { out: unknown } | { quiet: true } | { pass: number } | { lose: true } | { exit: number };

const folder = new URL("../conformance/transcripts/", import.meta.url);

/** `{"$sha256": text}` stands for the digest of the text. */
function filled(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(filled);
  if ("$sha256" in value) return createHash("sha256").update(String(value.$sha256)).digest("hex");
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filled(inner)]));
}

async function replay(steps: readonly Step[]): Promise<void> {
  const program = testProgram();
  for (const [index, step] of steps.entries()) {
    const where = `step ${index + 1}`;
    if ("in" in step) program.receive(filled(step.in) as AgentToProgramFrame);
    else if ("pass" in step) await program.clock.pass(step.pass);
    else if ("lose" in step) program.reconnect();
    await program.clock.rest();
    if ("out" in step) expect(program.sent.shift(), where).toMatchObject(filled(step.out) as object);
    if ("quiet" in step) expect(program.sent, where).toEqual([]);
    if ("exit" in step) expect(program.exits, where).toEqual([step.exit]);
  }
  expect(program.sent).toEqual([]);
}

const passed: string[] = [];

for (const file of readdirSync(folder).sort()) {
  const { about, cases } = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as { about: string; cases: Case[] };
  describe(about, () => {
    for (const { rule, name, steps } of cases) {
      test(`${rule} ${name}`, async () => {
        await replay(steps);
        passed.push(`${file.replace(".json", "")}: ${rule} ${name}`);
      });
    }
  });
}

test("the table of what each SDK has is made of these results", ({ skip }) => {
  skip(passed.length < transcriptCases().length, "only some of the cases were replayed");
  expect(recordResults("typescript", "transcripts", passed)).toEqual(passed);
});
