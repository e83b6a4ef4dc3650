import type { Failure } from "#shared/domain/errors.ts";
import type { RunView } from "#shared/protocol/api.ts";
import { cleanText } from "../clean-text.ts";
import { type Cli, note } from "../cli.ts";
import type { Client } from "../client.ts";
import { durationText } from "../duration.ts";
import { exitCodes } from "../exit-codes.ts";
import { coloursFor, paintStatus, printJson } from "../output.ts";
import { readOutput } from "../read-output.ts";
import type { WatchEnd } from "./watch-run.ts";

/** Says how watching ended and prints the run's output on stdout. Returns the exit code. */
export async function tellEnd(
  cli: Cli,
  client: Client,
  run: RunView,
  end: WatchEnd,
  json: string | boolean | undefined,
): Promise<number> {
  if (end.kind === "detached") return exitCodes.interrupted;
  if (end.kind === "timedOut") {
    note(cli, `The time is up; the run goes on.\n→ salt runs watch ${run.id}`);
    return exitCodes.timedOut;
  }
  if (json) printJson(cli, { ...end.run, output: await outputOf(client, end.run) }, json);
  else if (end.run.status === "succeeded") await printOutput(cli, client, end.run);
  tellResult(cli, end.run);
  return exitCodeOfRun(end.run, end.cancelledHere);
}

export function exitCodeOfRun(run: RunView, cancelledHere: boolean): number {
  if (run.status === "succeeded" || run.status === "restarted") return exitCodes.ok;
  if (run.status === "cancelled" && cancelledHere) return exitCodes.interrupted;
  return run.failure?.type === "TimedOut" ? exitCodes.timedOut : exitCodes.runFailed;
}

export async function outputOf(client: Client, run: RunView): Promise<unknown> {
  if (run.output === null) return null;
  return JSON.parse(await readOutput(client, run));
}

/** The output's JSON: indented on a terminal, as it is into a pipe. */
export async function printOutput(cli: Cli, client: Client, run: RunView): Promise<void> {
  const text = await readOutput(client, run);
  cli.stdout.write(`${cli.stdout.isTTY ? JSON.stringify(JSON.parse(text), null, 2) : text.trimEnd()}\n`);
}

function tellResult(cli: Cli, run: RunView): void {
  const colours = coloursFor(cli, cli.stderr);
  const took = durationText((run.endedAtMs ?? cli.nowMs()) - run.createdAtMs);
  const warnings = run.warnings === 0 ? "" : `, ${run.warnings} ${run.warnings === 1 ? "warning" : "warnings"}`;
  note(cli, `${run.id} ${paintStatus(colours, run.status)} in ${took}${warnings}`);
  if (run.failure !== null) note(cli, failureText(run.failure as Failure));
  if (run.status === "failed") note(cli, `→ salt logs ${run.id}\n→ salt runs retry ${run.id}`);
}

const framesShownMax = 3;

/** A failure with its causes, at most ten: each with its message and where in the project it was thrown. */
export function failureText(failure: Failure): string {
  const texts: string[] = [];
  for (let at: Failure | undefined = failure; at !== undefined && texts.length < 10; at = at.cause) {
    const frames = (at.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line));
    const said = cleanText(`${at.type}: ${at.message}`).split("\n");
    texts.push(
      [
        `${texts.length === 0 ? "" : "caused by "}${said.join("\n    ")}`,
        ...frames.slice(0, framesShownMax).map((line) => `    ${cleanText(line.trim())}`),
      ].join("\n  "),
    );
  }
  return texts.map((text) => `  ${text}`).join("\n");
}
