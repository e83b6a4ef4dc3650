import type { LogRow } from "#shared/protocol/api.ts";
import { cleanText } from "../clean-text.ts";
import { type Cli, note } from "../cli.ts";
import type { Client } from "../client.ts";
import { clientOf, type SaltCommand } from "../command.ts";
import { parseDuration } from "../duration.ts";
import { exitCodes } from "../exit-codes.ts";
import { followStream } from "../follow.ts";
import { coloursFor } from "../output.ts";
import { parseLimit } from "../parse-flags.ts";
import { timeText } from "../time-text.ts";
import { usageProblem } from "../usage.ts";
import { type LogLine, LogLines, logRowsSchema } from "../watch/log-lines.ts";

export function addLogs(root: SaltCommand, cli: Cli): void {
  root
    .command("logs")
    .summary("print what a run's tasks wrote")
    .description("Prints what a run's tasks wrote to stdout and stderr, in the order of its arrival.")
    .argument("<run>", "its id, or enough of its beginning")
    .option("-f, --follow", "go on until the run has ended; a lost link is taken up again without gap or repeat")
    .option("--task <key>", "only of this task")
    .option("--since <duration>", "only what was written in this last time, as 10m")
    .option("--tail <n>", "only the last lines")
    .option("--times", "with the time of each line")
    .option("--output <format>", "ndjson: one JSON object a chunk, untouched")
    .withCoordinator()
    .examples(
      ["salt logs run_00w8g1", "everything"],
      ["salt logs run_00w8g1 -f --task 'score#3'", "one task, as it writes"],
      ["salt logs run_00w8g1 --since 10m --tail 50", "the end"],
    )
    .run(cli, async ([id = ""], options) => {
      if (options.output !== undefined && options.output !== "ndjson") {
        throw usageProblem("There is no such output format.", String(options.output), ["ndjson"]);
      }
      const client = await clientOf(cli, options);
      const run = await client.call("getRun", { params: { run: id } });
      const sinceMs = options.since === undefined ? 0 : cli.nowMs() - parseDuration(String(options.since));
      const task = options.task === undefined ? {} : { task: String(options.task) };
      const printer = new LogPrinter(cli, {
        sinceMs,
        tail: options.tail === undefined ? null : parseLimit(options.tail),
        times: Boolean(options.times),
        ndjson: options.output === "ndjson",
      });
      const position = await readAll(client, run.id, task, printer);
      // A line that has not ended may yet go on, for who follows.
      if (!options.follow) printer.flush();
      printer.endOfPast();
      if (!options.follow) {
        if (task.task !== undefined && position === 0)
          await client.call("getTask", { params: { run: run.id, key: task.task } });
        if (printer.lines === 0)
          note(cli, position === 0 ? "Nothing was written." : "Nothing was written in that time.");
        return 0;
      }
      return await follow(cli, client, { run: run.id, task, after: position }, printer);
    });
}

type TaskQuery = { task?: string };

/** What there is now. Returns the last position. */
async function readAll(client: Client, run: string, task: TaskQuery, printer: LogPrinter): Promise<number> {
  let after = 0;
  for (;;) {
    const page = await client.call("readLogs", { params: { run }, query: { after, limit: 500, ...task } as never });
    for (const row of page.rows) printer.take(row);
    after = page.rows.at(-1)?.position ?? after;
    if (page.cursor === null || page.rows.length === 0) return after;
  }
}

async function follow(
  cli: Cli,
  client: Client,
  from: { run: string; task: TaskQuery; after: number },
  printer: LogPrinter,
): Promise<number> {
  const stop = new AbortController();
  const forget = cli.onInterrupt(() => stop.abort());
  const onLink = (state: "lost" | "back") => note(cli, `the link to the coordinator is ${state}`);
  const request = { params: { run: from.run }, query: { after: from.after, ...from.task } as never };
  const options = { signal: stop.signal, after: from.after, onLink };
  for await (const { value } of followStream(client, "followLogs", request, options)) {
    for (const row of logRowsSchema.parse(value)) printer.take(row);
  }
  printer.flush();
  forget();
  return stop.signal.aborted ? exitCodes.interrupted : exitCodes.ok;
}

interface PrintOptions {
  readonly sinceMs: number;
  readonly tail: number | null;
  readonly times: boolean;
  readonly ndjson: boolean;
}

/** Prints chunks as lines. With `tail`, what came before `endOfPast` is held back to its last lines. */
class LogPrinter {
  readonly #cli: Cli;
  readonly #options: PrintOptions;
  readonly #lines = new LogLines();
  #held: string[] | null;
  /** Printed so far. */
  lines = 0;

  constructor(cli: Cli, options: PrintOptions) {
    this.#cli = cli;
    this.#options = options;
    this.#held = options.tail === null ? null : [];
  }

  take(row: LogRow): void {
    if (row.atMs < this.#options.sinceMs) return;
    if (this.#options.ndjson) this.#write(JSON.stringify(row));
    else for (const line of this.#lines.take(row)) this.#write(this.#text(line));
  }

  endOfPast(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const line of held) this.#write(line);
  }

  flush(): void {
    for (const line of this.#lines.flush()) this.#write(this.#text(line));
  }

  #write(line: string): void {
    if (this.#held === null) {
      this.lines++;
      this.#cli.stdout.write(`${line}\n`);
      return;
    }
    this.#held.push(line);
    if (this.#held.length > (this.#options.tail ?? 0)) this.#held.shift();
  }

  #text(line: LogLine): string {
    const colours = coloursFor(this.#cli, this.#cli.stdout);
    const time = this.#options.times && line.atMs > 0 ? `${timeText(line.atMs)} ` : "";
    const text = cleanText(line.text, { colours: colours.level > 0 });
    return `${colours.dim(`${time}${cleanText(line.key)} │`)} ${text}`;
  }
}
