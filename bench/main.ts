/**
 * `npm run bench [-- --json] [--rounds N] [name…]`. Results go to stdout, all else to stderr. Exit codes: 0, 1 when a
 * benchmark failed or a row is void, 2 for wrong arguments.
 */
import { parseArgs } from "node:util";
import { type BenchName, benchNames } from "./rows.ts";
import { type BenchRequest, runBenches } from "./run-benches.ts";
import { stopServers } from "./server-process.ts";

const roundsDefault = 5;
const roundsMax = 100;

function readRequest(argv: readonly string[]): BenchRequest {
  const { values, positionals } = parseArgs({
    args: [...argv],
    options: { json: { type: "boolean" }, rounds: { type: "string" } },
    allowPositionals: true,
  });
  const rounds = Number(values.rounds ?? roundsDefault);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > roundsMax) {
    throw new Error(`--rounds is ${values.rounds}, it must be a whole number from 1 to ${roundsMax}.`);
  }
  const isName = (name: string): name is BenchName => (benchNames as readonly string[]).includes(name);
  const unknown = positionals.find((name) => !isName(name));
  if (unknown !== undefined) throw new Error(`There is no benchmark '${unknown}': use ${benchNames.join(", ")}.`);
  return { names: positionals.filter(isName), rounds, json: values.json ?? false };
}

/** The exit status that a signal asks for. */
let stoppedWith: number | null = null;

const say = (line: string) => void process.stderr.write(`${line}\n`);
const print = (line: string) => void process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  let request: BenchRequest;
  try {
    request = readRequest(process.argv.slice(2));
  } catch (error) {
    say((error as Error).message);
    return 2;
  }
  try {
    return await runBenches({ print, say }, request);
  } catch (error) {
    if (stoppedWith === null) say(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return 1;
  }
}

for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.on(signal, () => {
    if (stoppedWith !== null) process.exit(status);
    stoppedWith = status;
    say("Stopping; once more ends it at once");
    stopServers();
  });
}
const status = await main();
process.exit(stoppedWith ?? status);
