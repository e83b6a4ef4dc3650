import { parseArgs } from "node:util";
import { plantFault } from "./plant-fault.ts";
import { tellFailure } from "./tell-failure.ts";

const usage = `Usage: npm run simulate -- [--seeds <n>] [--from <seed>] [--twice] [--failovers] [--plant <fault>] [--last <lines>]

Lets whole clusters live through faults drawn from seeds. Exit code 0 when all came to rest with nothing wrong, 1 when a
seed failed (its trace is shown and kept as a file), 2 for a wrong flag. With --plant the fault is to be found: 0 when a
seed failed.

  --seeds <n>      how many (default 200)
  --from <seed>    the first (default 1)
  --twice          each twice, which must do the same
  --failovers      the engine fails over too, and loses up to a second of what it had acknowledged
  --plant <fault>  puts a fault into the sources, and stops at the first seed that finds it
  --last <lines>   of a failed seed's trace that are shown (default 60)
`;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    last: { type: "string", default: "60" },
    plant: { type: "string" },
    failovers: { type: "boolean", default: false },
    twice: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const seeds = Number(values.seeds);
const from = Number(values.from);
const isValid = Number.isInteger(seeds) && seeds > 0 && Number.isInteger(from) && Number.isInteger(Number(values.last));
if (values.help || !isValid) {
  process.stderr.write(usage);
  process.exit(values.help ? 0 : 2);
}
if (values.plant !== undefined) plantFault(values.plant);
const { simulate } = await import("./simulate.ts");

const failOverMs = values.failovers ? 8_000 : 0;
const failed: number[] = [];
const sums = { events: 0, executions: 0, runs: 0, virtualMs: 0 };
const startedMs = performance.now();
let done = 0;
for (let seed = from; seed < from + seeds; seed += 1) {
  const outcome = await simulate({ seed, failOverMs });
  const wrong = [...outcome.wrong];
  if (values.twice && wrong.length === 0) {
    const again = await simulate({ seed, failOverMs });
    if (again.hash !== outcome.hash) wrong.push(`not the same twice: ${outcome.hash}, ${again.hash}`);
  }
  done += 1;
  for (const what of Object.keys(sums) as (keyof typeof sums)[]) sums[what] += outcome[what];
  if (wrong.length > 0) {
    failed.push(seed);
    const lines = values.plant === undefined ? Number(values.last) : 0;
    process.stdout.write(`\n${tellFailure(seed, wrong, outcome.cluster.trace, lines)}\n`);
    if (values.plant !== undefined) break;
  }
  if (process.stderr.isTTY) process.stderr.write(`\r${done} of ${seeds} seeds, ${failed.length} failed `);
  else if (done % 500 === 0) process.stderr.write(`${done} of ${seeds} seeds, ${failed.length} failed\n`);
}
const seconds = (performance.now() - startedMs) / 1000;
const hours = sums.virtualMs / 3_600_000;
process.stdout.write(
  `\n${done} seeds in ${seconds.toFixed(1)} s: ${hours.toFixed(1)} hours of virtual time, ${sums.runs} runs, ` +
    `${sums.executions} executions, ${sums.events} events; ${failed.length} failed${failed.length > 0 ? `: ${failed.join(" ")}` : ""}\n`,
);
if (values.plant !== undefined) {
  const found = failed[0];
  process.stdout.write(
    found === undefined ? `'${values.plant}' was not found\n` : `'${values.plant}' found by seed ${found}\n`,
  );
  process.exit(found === undefined ? 1 : 0);
}
process.exit(failed.length > 0 ? 1 : 0);
