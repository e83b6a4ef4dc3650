import { z } from "zod";
import type { Clock, Timer } from "#shared/ports.ts";
import { taskIdSchema } from "#shared/protocol/common.ts";
import { type Attempt, isStrict } from "../leases/attempt.ts";
import type { Logger } from "../options.ts";
import type { Disk, LinesFile, StreamName } from "../ports.ts";
import type { ReadChunk } from "../runner/log-follower.ts";
import { TurnBatch } from "../turn-batch.ts";

const compactAboveBytes = 1024 * 1024;
const writeAgainMs = 1_000;

const position = z.int().min(0);
const streams = z.object({ stdout: position, stderr: position });
const givenSchema = z.object({
  program: z.string(),
  argsId: z.string(),
  folder: z.string(),
  task: taskIdSchema,
  fence: z.int().min(1),
  kind: z.enum(["task", "workflow"]),
  name: z.string(),
  attempt: z.int().min(1),
  attemptTimeoutMs: z.number(),
  /** Of an attempt that must not outlast its lease: until when that was held when this was written. */
  untilMs: z.number().exactOptional(),
});
export type GivenRecord = z.infer<typeof givenSchema>;

const lineSchema = z.discriminatedUnion("j", [
  givenSchema.extend({ j: z.literal("given") }),
  z.object({ j: z.literal("printed"), argsId: z.string(), sent: streams }),
  z.object({ j: z.literal("mark"), program: z.string(), mark: streams }),
  z.object({ j: z.literal("until"), argsId: z.string(), untilMs: z.number() }),
  z.object({ j: z.literal("ended"), argsId: z.string() }),
]);

interface JournalDeps {
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What processes were doing when the agent was last alive. */
export interface Remembered {
  readonly attempts: readonly (GivenRecord & { sent: Record<StreamName, number> })[];
  /** Up to where each process's output has been attributed and accepted. */
  readonly marks: ReadonlyMap<string, Record<StreamName, number>>;
}

/**
 * Which attempt each process was given, so that an agent that was killed knows what living programs speak of. One
 * append a turn, without fsync: it has to outlive the agent, not the machine, whose end ends the programs too. What
 * cannot be written, as on a full disk, is written once it can: until then an agent that is killed knows less.
 */
export class AttemptJournal {
  readonly #file: LinesFile;
  readonly #batch: TurnBatch;
  readonly #live = new Map<
    string,
    { given: string; program: string; sent: Record<StreamName, number> | null; until: string }
  >();
  readonly #marks = new Map<string, Record<StreamName, number>>();
  #bytes = 0;
  #out = "";
  readonly #deps: JournalDeps;
  /** The file may end in half a line. */
  #torn = false;
  #again: Timer | null = null;
  #closed = false;

  private constructor(file: LinesFile, deps: JournalDeps) {
    this.#file = file;
    this.#deps = deps;
    this.#batch = new TurnBatch(deps.clock, () => this.#flush());
  }

  /** Opens the journal afresh, and says what it held. */
  static open(deps: JournalDeps & { disk: Disk }, path: string): { journal: AttemptJournal; remembered: Remembered } {
    const file = deps.disk.openLines(path);
    const remembered = readRemembered(file.text);
    const journal = new AttemptJournal(file, deps);
    for (const [program, mark] of remembered.marks) journal.#marks.set(program, { ...mark });
    return { journal, remembered };
  }

  given(program: string, attempt: Attempt): void {
    const { task, fence, kind, name, attempt: nth, attemptTimeoutMs } = attempt.lease;
    const { argsId, folder } = attempt;
    const until = isStrict(attempt.lease) ? { untilMs: attempt.heldUntilMs } : {};
    const record = { program, argsId, folder, task, fence, kind, name, attempt: nth, attemptTimeoutMs, ...until };
    const given = `${JSON.stringify({ j: "given", ...record })}\n`;
    this.#live.set(argsId, { given, program, sent: null, until: "" });
    this.#append(given);
  }

  /** The lease of an attempt that must not outlast it is held for longer. */
  held({ argsId, heldUntilMs: untilMs }: Attempt): void {
    const live = this.#live.get(argsId);
    if (live === undefined) return;
    live.until = `${JSON.stringify({ j: "until", argsId, untilMs })}\n`;
    this.#append(live.until);
  }

  printed(program: string, attempt: Attempt, chunk: ReadChunk): void {
    const live = this.#live.get(attempt.argsId);
    if (live === undefined) return;
    live.sent ??= { stdout: 0, stderr: 0 };
    live.sent[chunk.stream] = chunk.offset + chunk.bytes;
    this.#append(`${JSON.stringify({ j: "printed", argsId: attempt.argsId, sent: live.sent })}\n`);
    this.#mark(program, { [chunk.stream]: chunk.position });
  }

  /** The attempt is over, or its report is on disk; its output ended at these positions. */
  ended(attempt: Attempt): void {
    const live = this.#live.get(attempt.argsId);
    if (live === undefined) return;
    this.#live.delete(attempt.argsId);
    this.#append(`{"j":"ended","argsId":"${attempt.argsId}"}\n`);
    if (attempt.ends !== null) this.#mark(live.program, attempt.ends);
  }

  /** Goes on with an attempt of an earlier life. */
  adopt({ sent, ...record }: Remembered["attempts"][number]): void {
    const given = `${JSON.stringify({ j: "given", ...record })}\n`;
    this.#live.set(record.argsId, { given, program: record.program, sent, until: "" });
  }

  forget(program: string): void {
    this.#marks.delete(program);
  }

  close(): void {
    this.#flush();
    this.#closed = true;
    this.#again?.cancel();
    this.#file.close();
  }

  #mark(program: string, to: Partial<Record<StreamName, number>>): void {
    const mark = this.#marks.get(program) ?? { stdout: 0, stderr: 0 };
    const stdout = Math.max(mark.stdout, to.stdout ?? 0);
    const stderr = Math.max(mark.stderr, to.stderr ?? 0);
    if (stdout === mark.stdout && stderr === mark.stderr) return;
    this.#marks.set(program, { stdout, stderr });
    this.#append(`${JSON.stringify({ j: "mark", program, mark: { stdout, stderr } })}\n`);
  }

  #append(line: string): void {
    this.#out += line;
    this.#batch.want();
  }

  #flush(): void {
    if (this.#out === "" || this.#closed) return;
    const text = this.#out;
    this.#out = "";
    this.#bytes += text.length;
    try {
      if (this.#torn || this.#bytes > compactAboveBytes) this.compact();
      else this.#file.append(text);
    } catch (error) {
      this.#writeAgain(error);
    }
  }

  /** All of it then, as nobody knows how much of the last lines was written. */
  #writeAgain(error: unknown): void {
    if (!this.#torn) this.#deps.logger.error({ error }, "Cannot note what programs are given; trying again");
    this.#torn = true;
    this.#out = "\n";
    this.#again ??= this.#deps.clock.after(writeAgainMs, () => {
      this.#again = null;
      this.#flush();
    });
  }

  /** Leaves only what is still under way. */
  compact(): void {
    let text = "";
    for (const [program, mark] of this.#marks) text += `${JSON.stringify({ j: "mark", program, mark })}\n`;
    for (const [argsId, { given, sent, until }] of this.#live) {
      text += given + until;
      if (sent !== null) text += `${JSON.stringify({ j: "printed", argsId, sent })}\n`;
    }
    this.#file.replace(text);
    this.#torn = false;
    this.#bytes = text.length;
  }
}

function readRemembered(held: string): Remembered {
  const attempts = new Map<string, GivenRecord & { sent: Record<StreamName, number> }>();
  const marks = new Map<string, Record<StreamName, number>>();
  for (const text of held.split("\n")) {
    const line = readLine(text);
    if (line === null) continue;
    if (line.j === "given") attempts.set(line.argsId, { ...line, sent: { stdout: 0, stderr: 0 } });
    else if (line.j === "mark") marks.set(line.program, line.mark);
    else if (line.j === "ended") attempts.delete(line.argsId);
    else {
      const attempt = attempts.get(line.argsId);
      if (attempt === undefined) continue;
      if (line.j === "until") attempt.untilMs = line.untilMs;
      else attempt.sent = line.sent;
    }
  }
  return { attempts: [...attempts.values()], marks };
}

/** Null for a line that was half written when the agent ended. */
function readLine(text: string): z.infer<typeof lineSchema> | null {
  try {
    return lineSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
