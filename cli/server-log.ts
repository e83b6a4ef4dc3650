import { Writable } from "node:stream";
import pino, { type Logger } from "pino";
import { cleanLine } from "./clean-text.ts";
import type { Cli } from "./cli.ts";
import { coloursFor } from "./output.ts";
import { timeText } from "./time-text.ts";
import { usageProblem } from "./usage.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;

/** What a server writes of itself, to stderr: lines for people on a terminal, JSON into a pipe. */
export function serverLog(cli: Cli, level: string): Logger {
  if (!(logLevels as readonly string[]).includes(level))
    throw usageProblem(`There is no log level '${level}'.`, level, logLevels);
  const lines = new Writable({
    write(chunk: Buffer, _, done) {
      cli.stderr.write(cli.stderr.isTTY ? lineForPeople(cli, chunk.toString("utf8")) : chunk.toString("utf8"));
      done();
    },
  });
  return pino({ level, base: null }, lines);
}

function lineForPeople(cli: Cli, json: string): string {
  const { level, time, msg, ...fields } = JSON.parse(json) as { level: number; time: number; msg?: string };
  const colours = coloursFor(cli, cli.stderr);
  const rest = Object.entries(fields).map(
    ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const mark = level >= 50 ? colours.red("error ") : level >= 40 ? colours.yellow("warning ") : "";
  return `${colours.dim(timeText(time))} ${mark}${cleanLine(msg ?? "")} ${colours.dim(cleanLine(rest.join(" ")))}\n`;
}
