import { expect, test } from "vitest";
import type { Manifest } from "#shared/protocol/manifest.ts";
import { parseQueue, queueName, requirementOf, satisfies } from "./queues.ts";

const file = { sha256: "0".repeat(64), bytes: 1 };
const binaries = {
  "linux-x64": { ...file, python: { requires: ">=3.11,<3.12", abi: "cp311" } },
  "darwin-arm64": { ...file, python: { requires: ">=3.12" } },
  "win32-x64": file,
} as unknown as Manifest["binaries"];

test("C25 a PEX is matched to agents with a platform and a Python that it works with, by the name of its queue", () => {
  const requirement = parseQueue(queueName(requirementOf("task", { binaries }, {})));
  const fits = (platform: string, pythons?: string[]) =>
    satisfies({ pool: "default", platform, labels: {}, ...(pythons ? { pythons } : {}) }, requirement);
  expect(fits("linux-x64", ["3.9.1", "3.11.7"])).toBe(true);
  expect(fits("linux-x64", ["3.12.1"])).toBe(false);
  expect(fits("linux-x64")).toBe(false);
  expect(fits("darwin-arm64", ["3.11.7"])).toBe(false);
  expect(fits("darwin-arm64", ["3.13.0"])).toBe(true);
  expect(fits("win32-x64")).toBe(true);
});

test("A queue of a release without a Python is named as ever", () => {
  const { "win32-x64": only } = binaries;
  const plain = { binaries: only === undefined ? {} : { "win32-x64": only } };
  expect(queueName(requirementOf("task", plain, {}))).toBe('["task","default",["win32-x64"],[]]');
});
