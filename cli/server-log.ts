import { Writable } from "node:stream";
import pino, { type Logger } from "pino";
import { cleanLine } from "./clean-text.ts";
import { type Cli, note } from "./cli.ts";
import { knownError } from "./error-text.ts";
import { exitCodeOf } from "./exit-codes.ts";
import { coloursFor } from "./output.ts";
import { timeText } from "./time-text.ts";
import { usageProblem } from "./usage.ts";

export const logLevels = ["debug", "info", "warn", "error"] as const;

/** What a server writes to stderr: text for people on a terminal; into a pipe one JSON object a line, and nothing else. */
export interface ServerVoice {
  readonly logger: Logger;
  /** Tells who started it what they wait to know, whatever the log level. */
  say(line: string): void;
}

/** Does what a server's command does; what it fails with is told in the log's own form. Returns the exit code. */
export async function withVoice(
  cli: Cli,
  level: string,
  serve: (voice: ServerVoice) => Promise<number>,
): Promise<number> {
  const logger = serverLog(cli, level);
  const always = logger.child({}, { level: "info" });
  const say = (line: string): void => (cli.stderr.isTTY ? note(cli, line) : always.info(line));
  try {
    return await serve({ logger, say });
  } catch (error) {
    if (cli.stderr.isTTY) throw error;
    const { code, next, message } = knownError(error);
    const stack = cli.env.SALT_DEBUG === "1" && error instanceof Error ? error.stack : undefined;
    logger.fatal({ code, next, stack }, message);
    return exitCodeOf(code);
  }
}

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
