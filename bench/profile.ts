/**
 * `npm run bench:profile [-- --redis]`: a few fan-outs with V8's CPU profiler on in coordinator and agent; prints the
 * functions in which each spent most time itself, by file. The profiles themselves are left where it says, for DevTools to
 * open. V8 samples time by the clock, so that a busy machine stretches it: its shares are applied to the CPU time that the
 * kernel counted.
 */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { startRedis } from "../tests/support/redis-server.ts";
import { using, usualSizes } from "./bench.ts";
import { benchCache } from "./folders.ts";
import { describeMachine } from "./machine.ts";
import { cpuMicros } from "./processes.ts";
import { monotonicMicros, readSelfTimes, type SelfTime, type Span } from "./read-profile.ts";
import { nearEnd, runToOutput } from "./runs.ts";
import { startSalt } from "./start-salt.ts";

const rounds = 3;
const warmUps = 2;
const functionsShown = 25;
const folder = path.join(benchCache, "profiles");
const parts = ["coordinator", "agent"] as const;

const nodeArgs = (part: string): string[] => [
  "--cpu-prof",
  `--cpu-prof-dir=${folder}`,
  `--cpu-prof-name=${part}.cpuprofile`,
];
const print = (line: string) => void process.stdout.write(`${line}\n`);

/** When the fan-outs that count began and ended, and the CPU time of each part in between. The profiles are then written. */
async function runProfiled(): Promise<{ readonly span: Span; readonly cpuMicros: readonly [number, number] }> {
  return await using(async (closing) => {
    const redis = process.argv.includes("--redis") ? await startRedis({ appendfsync: "everysec" }) : null;
    if (redis !== null) closing(redis.close);
    const salt = await startSalt({
      ...(redis === null ? {} : { redis: redis.url }),
      say: (line) => process.stderr.write(`${line}\n`),
      coordinatorNodeArgs: nodeArgs("coordinator"),
      agentNodeArgs: nodeArgs("agent"),
    });
    closing(salt.close);
    const { tasks } = usualSizes;
    const fanOut = () => runToOutput(salt.client, "fan-out", { tasks }, nearEnd(tasks));
    for (let round = 0; round < warmUps; round += 1) await fanOut();
    const readCpu = () => [cpuMicros(salt.coordinator.pid), cpuMicros(salt.agent().pid)] as const;
    const before = readCpu();
    const from = monotonicMicros();
    for (let round = 0; round < rounds; round += 1) await fanOut();
    const to = monotonicMicros();
    const after = readCpu();
    return { span: { from, to }, cpuMicros: [after[0] - before[0], after[1] - before[1]] };
  });
}

function printTimes(part: string, times: readonly SelfTime[], partMicros: number): void {
  const perTask = partMicros / (rounds * usualSizes.tasks);
  const all = times.reduce((sum, { micros }) => sum + micros, 0);
  const line = (micros: number, text: string) => {
    const share = micros / all;
    print(`${(share * perTask).toFixed(2).padStart(8)} ${(100 * share).toFixed(1).padStart(5)} %  ${text}`);
  };
  print(`\n${part}: ${perTask.toFixed(1)} µs of CPU a task\n µs/task   share`);
  const top = times.slice(0, functionsShown);
  const files = Map.groupBy(top, ({ file }) => file);
  const sum = (file: string) => times.reduce((micros, each) => micros + (each.file === file ? each.micros : 0), 0);
  for (const file of [...files.keys()].sort((a, b) => sum(b) - sum(a))) {
    line(sum(file), file);
    for (const { micros, function: name } of files.get(file) ?? []) line(micros, `  ${name}`);
  }
}

await mkdir(folder, { recursive: true });
for (const text of describeMachine()) print(text);
const { span, cpuMicros: partMicros } = await runProfiled();
for (const [index, part] of parts.entries()) {
  printTimes(part, await readSelfTimes(path.join(folder, `${part}.cpuprofile`), span), partMicros[index] ?? 0);
}
print(
  `\nA file's line is all that was spent in it. The profiles are in ${path.relative(process.cwd(), folder) || "."}`,
);
process.exit(0);
