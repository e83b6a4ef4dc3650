import { spawn } from "node:child_process";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { file, fileSchema, progress, sleep, task, waitForSignal, workflow, z } from "../index.ts";
import { main } from "../main.ts";

/** The project that main.test.ts starts as a process of its own. */
task({ name: "noop" }, () => 1);
task({ name: "where" }, (_input, { folder }) => {
  console.log("here");
  const left = { env: process.env.LEFT ?? null, cwd: process.cwd() === folder, tmp: process.env.TMPDIR === folder };
  process.env.LEFT = "left over";
  process.chdir("/");
  return { ...left, secrets: Object.keys(process.env).filter((name) => name.startsWith("SALT_")) };
});
task({ name: "leaves-timer" }, () => void setTimeout(() => {}, 60_000));
task({ name: "leaves-child" }, () => void spawn(process.execPath, ["-e", "setTimeout(() => {}, 3_000)"]));
task({ name: "large", output: z.string() }, (input: unknown) => "x".repeat(Number(input)));
task({ name: "waits" }, async (_input, { signal }) => {
  progress(0.5, "half");
  await new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
});
task({ name: "throws-later" }, async () => {
  setTimeout(() => {
    throw new TypeError("later");
  }, 1);
  await new Promise(() => {});
});
task({ name: "rejects-apart" }, async () => {
  void Promise.reject(new TypeError("apart"));
  await new Promise(() => {});
});
task({ name: "makes-file" }, async () => {
  writeFileSync("report.csv", "a,b\n");
  return { report: await file("report.csv", { mediaType: "text/csv" }) };
});
task({ name: "reads-file", input: z.object({ report: fileSchema }) }, async ({ report }, { pathOf }) =>
  readFileSync(await pathOf(report), "utf8"),
);
task({ name: "emits" }, (_input, { emit, log }) => {
  emit("row", { n: 1n });
  emit("row", 2);
  emit("row", 3, { key: "own" });
  log("told", { n: 1 });
});
// Counts its attempts in a file beside its folder, since it runs in a process of its own each time.
task({ name: "third-time", retry: { attempts: 3, backoffMs: 1 } }, (path: string) => {
  appendFileSync(path, "x");
  if (!existsSync(path) || readFileSync(path, "utf8").length < 3) throw new Error("not yet");
  return "at last";
});
task({ name: "slow", attemptTimeoutMs: 20 }, () => new Promise(() => {}));

const noop = task({ name: "one" }, () => 1);
workflow({ name: "naps", input: z.number() }, async (n) => {
  await sleep(n);
  return n + (await noop());
});
workflow({ name: "waits-for-signal" }, () => waitForSignal("go"));
workflow({ name: "loses-a-promise" }, async () => {
  void Promise.reject(new TypeError("lost"));
  await sleep(60_000);
});

await main();
