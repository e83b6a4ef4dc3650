/**
 * Follows one run on the terminal: a live table of its calls with log lines above it, or plain lines into a pipe.
 *
 * W1  The first Ctrl-C lets the run go on and says how to watch it; another one within `secondInterruptMs` asks to
 *     cancel it, and watching goes on to its end; the next one leaves at once.
 * W2  A run that restarts goes on as another run, which is then followed in its place.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type RunId, workflowKey } from "#shared/domain/ids.ts";
import { journalRowSchema, type ProgressEvent, progressEventSchema, type RunView } from "#shared/protocol/api.ts";
import { cleanLine, cleanText } from "../clean-text.ts";
import { type Cli, note } from "../cli.ts";
import type { Client } from "../client.ts";
import { followStream } from "../follow.ts";
import { coloursFor } from "../output.ts";
import { progressText } from "../progress-text.ts";
import { timeText } from "../time-text.ts";
import { journalLine } from "./journal-line.ts";
import { LiveScreen } from "./live-screen.ts";
import { type LogLine, LogLines, logRowsSchema } from "./log-lines.ts";
import { lookForWaits } from "./look-for-waits.ts";
import { RunProgress } from "./run-progress.ts";
import { taskTable } from "./task-table.ts";

const secondInterruptMs = 2_000;
/** In plain lines, a task's progress is told at most so often. */
const saidEveryMs = 1_000;
/** Once the journal has ended, log lines are waited for until none came for so long, */
const logsQuietMs = 300;
/** and at most so long. */
const logsLateMs = 3_000;

export type WatchEnd =
  | { readonly kind: "ended"; readonly run: RunView; readonly cancelledHere: boolean }
  | { readonly kind: "detached" }
  | { readonly kind: "timedOut" };

export interface WatchOptions {
  readonly logs: boolean;
  readonly timeoutMs: number | null;
}

export async function watchRun(cli: Cli, client: Client, run: RunView, options: WatchOptions): Promise<WatchEnd> {
  const watching = new Watching(cli, client, run.id);
  const deadline = options.timeoutMs === null ? null : setTimeout(() => watching.stop("timedOut"), options.timeoutMs);
  try {
    for (let at = run; ; ) {
      const stopped = await watching.follow(at, options);
      if (stopped !== null) return { kind: stopped };
      const ended = await client.call("getRun", { params: { run: at.id } });
      if (ended.next === null || ended.status !== "restarted") {
        return { kind: "ended", run: ended, cancelledHere: watching.cancelAsked };
      }
      note(cli, `${at.id} restarted as ${ended.next}`);
      at = await client.call("getRun", { params: { run: ended.next } });
    }
  } finally {
    if (deadline) clearTimeout(deadline);
    watching.close();
  }
}

class Watching {
  readonly #cli: Cli;
  readonly #client: Client;
  #run: RunId;
  readonly #stop = new AbortController();
  readonly #forgetInterrupts: () => void;
  #stopped: "detached" | "timedOut" | null = null;
  #leaving: NodeJS.Timeout | null = null;
  #progress = new RunProgress();
  #screen: LiveScreen | null = null;
  readonly #saidAtMs = new Map<string, number>();
  #loggedAtMs = 0;
  cancelAsked = false;

  constructor(cli: Cli, client: Client, run: RunId) {
    this.#cli = cli;
    this.#client = client;
    this.#run = run;
    this.#forgetInterrupts = cli.onInterrupt(() => this.#onInterrupt());
  }

  stop(why: "detached" | "timedOut"): void {
    this.#stopped = why;
    this.#stop.abort();
  }

  close(): void {
    if (this.#leaving) clearTimeout(this.#leaving);
    this.#forgetInterrupts();
  }

  /** Null when the run has ended; else why watching stopped before. */
  async follow(run: RunView, options: WatchOptions): Promise<"detached" | "timedOut" | null> {
    this.#run = run.id;
    this.#progress = new RunProgress();
    const screen = new LiveScreen(this.#cli, () => this.#table(`${run.project}/${run.workflow}  ${run.id}`));
    this.#screen = screen;
    const logsStop = new AbortController();
    const looking = new AbortController();
    void this.#lookForWaits(screen, AbortSignal.any([this.#stop.signal, looking.signal]));
    const logs = options.logs ? this.#followLogs(screen, AbortSignal.any([this.#stop.signal, logsStop.signal])) : null;
    try {
      const journal = this.#followJournal(screen);
      // Logs end early only by failing, and then it is their failure that counts.
      await (logs === null ? journal : Promise.race([journal, logs.then(() => journal)]));
      if (logs !== null && this.#stopped === null) await Promise.race([logs, this.#logsQuiet()]);
      logsStop.abort();
      await logs;
    } finally {
      looking.abort();
      logsStop.abort();
      logs?.catch(() => undefined);
      screen.close({ keep: this.#progress.ended !== null });
      this.#screen = null;
    }
    return this.#progress.ended === null ? (this.#stopped ?? "detached") : null;
  }

  /** Nothing else would say why nothing happens. */
  async #lookForWaits(screen: LiveScreen, signal: AbortSignal): Promise<void> {
    const onWaits = (key: string, waits: string) => {
      const next = waits.startsWith("no ") ? "\n→ salt agent starts one" : "";
      if (key === workflowKey) screen.line(`The run waits: ${cleanLine(waits)}${next}`);
      else if (!screen.live) screen.line(`${timeText(this.#cli.nowMs())} ${cleanLine(key)} waits: ${cleanLine(waits)}`);
    };
    await lookForWaits(this.#client, { run: this.#run, progress: this.#progress, signal, onWaits });
  }

  async #followJournal(screen: LiveScreen): Promise<void> {
    const request = { params: { run: this.#run } };
    const onLink = (state: "lost" | "back") => screen.line(`the link to the coordinator is ${state}`);
    const options = { signal: this.#stop.signal, onLink };
    for await (const { event, value } of followStream(this.#client, "followJournal", request, options)) {
      if (event === "progress") {
        this.#takeProgress(screen, progressEventSchema.parse(value));
        continue;
      }
      const row = journalRowSchema.parse(value);
      this.#progress.take(row);
      const line = journalLine(row);
      if (line !== null && !screen.live) screen.line(`${timeText(row.atMs)} ${line}`);
      if (this.#progress.ended !== null) return;
    }
  }

  #takeProgress(screen: LiveScreen, said: ProgressEvent): void {
    this.#progress.say(said);
    if (screen.live || said.atMs - (this.#saidAtMs.get(said.key) ?? 0) < saidEveryMs) return;
    this.#saidAtMs.set(said.key, said.atMs);
    screen.line(`${timeText(said.atMs)} ${cleanLine(said.key)} ${progressText(said)}`);
  }

  async #followLogs(screen: LiveScreen, signal: AbortSignal): Promise<void> {
    const lines = new LogLines();
    const request = { params: { run: this.#run } };
    for await (const { value } of followStream(this.#client, "followLogs", request, { signal })) {
      for (const line of logRowsSchema.parse(value).flatMap((row) => lines.take(row))) this.#logLine(screen, line);
    }
    for (const line of lines.flush()) this.#logLine(screen, line);
  }

  async #logsQuiet(): Promise<void> {
    const endedAtMs = this.#cli.nowMs();
    for (;;) {
      const nowMs = this.#cli.nowMs();
      const dueMs = Math.min(Math.max(endedAtMs, this.#loggedAtMs) + logsQuietMs, endedAtMs + logsLateMs);
      if (nowMs >= dueMs) return;
      await sleep(dueMs - nowMs);
    }
  }

  #logLine(screen: LiveScreen, line: LogLine): void {
    const colours = coloursFor(this.#cli, this.#cli.stderr);
    this.#loggedAtMs = this.#cli.nowMs();
    screen.line(`${colours.dim(`${cleanText(line.key)} │`)} ${cleanText(line.text, { colours: colours.level > 0 })}`);
  }

  #table(title: string): string[] {
    const { columns, rows } = this.#cli.stderr;
    const colours = coloursFor(this.#cli, this.#cli.stderr);
    const height = Math.min(20, (rows || 24) - 2);
    return taskTable(title, this.#progress, { width: columns || 80, height, nowMs: this.#cli.nowMs(), colours });
  }

  /** W1 */
  #onInterrupt(): void {
    const tell = (line: string) => (this.#screen ? this.#screen.line(line) : note(this.#cli, line));
    if (this.cancelAsked) {
      this.stop("detached");
    } else if (this.#leaving === null) {
      tell(`The run goes on.\n→ salt runs watch ${this.#run}\nCtrl-C again to cancel it.`);
      this.#leaving = setTimeout(() => this.stop("detached"), secondInterruptMs);
    } else {
      clearTimeout(this.#leaving);
      this.cancelAsked = true;
      tell("Asking to cancel the run…");
      const request = { params: { run: this.#run }, body: { reason: "cancelled with Ctrl-C" } };
      this.#client.call("cancelRun", request).catch((error: Error) => tell(`Cannot cancel: ${error.message}`));
    }
  }
}
