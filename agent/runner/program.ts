import type { Failure } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Timer } from "#shared/ports.ts";
import type { ProgramFrame, Work } from "#shared/protocol/task.ts";
import { type Attempt, type Host, isOver, moveAttempt } from "../leases/attempt.ts";
import type { AgentDeps } from "../options.ts";
import type { ProgramExit, WorkFolders } from "../ports.ts";
import { TurnBatch } from "../turn-batch.ts";
import type { LogFollower } from "./log-follower.ts";
import type { ProgramSocket } from "./program-socket.ts";
import { type Answer, type Hello, isAnswer, readFrame, type Saying } from "./read-frame.ts";

/** `starting`: has not said hello. `ending`: is given nothing more. `gone`: has ended. */
export type ProgramState = "starting" | "ready" | "ending" | "gone";

/** Why a process is being ended by force, and whose fault that is. */
export interface Verdict {
  readonly culprit: Attempt | null;
  /** What became of the culprit; null when nobody is to hear of it (a stale attempt). */
  readonly failure: Failure | null;
}

export interface ProgramOwner {
  hello(program: Program, hello: Hello): void;
  answered(program: Program, attempt: Attempt, answer: Answer, ranMs: number): void;
  said(program: Program, attempt: Attempt, frame: Saying): void;
  violated(program: Program, message: string): void;
  /** Its connection ended while the process lives. */
  silent(program: Program): void;
  /** Something about its room has changed. */
  changed(program: Program): void;
}

export interface ProgramParts {
  readonly socket: ProgramSocket;
  readonly logs: LogFollower<Attempt>;
  readonly folders: WorkFolders;
  /** Sends a signal to the whole group. */
  signal(signal: NodeJS.Signals): void;
  /** Of a process that is not this agent's child: how it ended, once it has. */
  hasEnded?(): { exit: ProgramExit | null } | null;
  /** The last lines of the last so many bytes of stderr. */
  stderrTail(bytes: number): string;
  /** Closes files and removes the process's folder. */
  remove(): Promise<void>;
}

const laterMs = 5;
const recycleAfterTasks = 100_000;
const recycleLogBytes = 64 * 1024 * 1024;

/**
 * One process of a release.
 *
 * R1  A task program executes what it is given in the order in which it was given, one at a time; the first of `line`
 *     is running, the rest have not begun.
 * R2  A work stays in `works` until its answer is safe, as the program holds on to it as long.
 * R3  What was withdrawn may have begun all the same: until the program has confirmed each withdrawal it is `tainted`,
 *     and ended after its current work.
 */
export class Program implements Host {
  readonly id: string;
  readonly kind: "task" | "workflow";
  readonly works = new Map<string, Attempt>();
  readonly line: Attempt[] = [];
  state: ProgramState = "starting";
  verdict: Verdict | null = null;
  saidHello = false;
  /** Resolves when its start has come to an end, one way or another. */
  started: Promise<void> = Promise.resolve();
  /** Left by an earlier life of the agent. */
  adopted = false;
  exit: ProgramExit | null = null;
  idleSinceMs: number;
  readonly startedAtMs: number;
  readonly #deps: AgentDeps;
  readonly #owner: ProgramOwner;
  readonly #withdrawn = new Set<string>();
  /** Workflows that it may still speak of, as they were taken from it. */
  readonly #forgotten = new Set<string>();
  /** Answered attempts whose values are being taken from the process's folder. */
  readonly #unfinished = new Set<Attempt>();
  readonly #batch: TurnBatch;
  #parts: ProgramParts | null = null;
  #out = "";
  #later: Timer | null = null;
  #tasks = 0;
  #emptying = 0;
  #quitting = false;
  #removal: Promise<void> | null = null;

  constructor(deps: AgentDeps, identity: { id: string; kind: "task" | "workflow" }, owner: ProgramOwner) {
    this.#deps = deps;
    this.id = identity.id;
    this.kind = identity.kind;
    this.#owner = owner;
    this.#batch = new TurnBatch(deps.clock, () => this.#flush());
    this.startedAtMs = deps.clock.monotonicMs();
    this.idleSinceMs = this.startedAtMs;
  }

  attach(parts: ProgramParts): void {
    this.#parts = parts;
  }

  get parts(): ProgramParts | null {
    return this.#parts;
  }

  /** Ready, with nothing to do and a clean folder. */
  get isIdle(): boolean {
    return this.state === "ready" && this.works.size === 0 && this.#emptying === 0 && !this.isTainted;
  }

  /** Nothing waits in the program behind what it is at. */
  get isAlone(): boolean {
    return this.line.length < 2;
  }

  get isTainted(): boolean {
    return this.unconfirmed > 0;
  }

  /** Works that were taken back, and of which it has not said that they had not begun. */
  get unconfirmed(): number {
    return this.#withdrawn.size;
  }

  /** The work that a word which names none is about: the running one where there is only one. */
  get current(): Attempt | null {
    if (this.kind === "task") return this.line[0] ?? null;
    const running = [...this.works.values()].filter((attempt) => attempt.phase === "running");
    return running.length === 1 ? (running[0] ?? null) : null;
  }

  /** The end of what the attempt wrote to stderr. */
  stderrTail(attempt: Attempt): string {
    return this.#parts?.stderrTail(attempt.logs.seen.stderr) ?? "";
  }

  /** How many more works it takes when `depth` may be in its hands at once. */
  room(depth: number): number {
    if (this.state !== "ready" || this.isTainted) return 0;
    // Workflows have folders of their own; a task may count on its process's own folder.
    if (this.kind === "task" && this.#emptying > 0) return 0;
    return depth - (this.kind === "task" ? this.line.length : this.works.size);
  }

  give(attempt: Attempt, work: Omit<Work, "t" | "folder">): void {
    const { folders, logs } = this.#requireParts();
    attempt.folder = folders.give();
    attempt.host = this;
    this.works.set(attempt.argsId, attempt);
    this.#tasks += 1;
    if (this.kind === "workflow") {
      this.#start(attempt, this.#deps.clock.monotonicMs());
      logs.begin(attempt, { shared: true });
    } else {
      this.line.push(attempt);
      if (this.line.length === 1) this.#start(attempt, this.#deps.clock.monotonicMs());
      else moveAttempt(attempt, "given");
    }
    this.tell(JSON.stringify({ t: "work", ...work, folder: attempt.folder }));
    for (const line of attempt.early.splice(0)) this.tell(line);
  }

  #start(attempt: Attempt, nowMs: number): void {
    moveAttempt(attempt, "running");
    attempt.startedAtMs = nowMs;
    if (this.kind === "task") this.#requireParts().logs.begin(attempt);
  }

  /** Takes up a work that the process was given in an earlier life of the agent. */
  adopt(attempt: Attempt, folder: string): void {
    attempt.host = this;
    attempt.folder = folder;
    this.works.set(attempt.argsId, attempt);
    if (this.kind === "task") this.line.push(attempt);
    if (this.kind === "workflow" || this.line.length === 1) this.#start(attempt, this.#deps.clock.monotonicMs());
    else moveAttempt(attempt, "given");
  }

  tellOf(attempt: Attempt, line: string): void {
    // What a shared process prints next is taken to be of the work that it was last told something about.
    if (this.kind === "workflow") this.#requireParts().logs.begin(attempt, { shared: true });
    this.tell(line);
  }

  hold(held: boolean): void {
    if (held) this.#parts?.socket.pause();
    else this.#parts?.socket.resume();
  }

  tell(line: string): void {
    this.#out += `${line}\n`;
    this.#batch.want();
  }

  tellLater(line: string): void {
    this.#out += `${line}\n`;
    this.#later ??= this.#deps.clock.after(laterMs, () => this.#flush());
  }

  #flush(): void {
    if (this.#out === "") return;
    this.#later?.cancel();
    this.#later = null;
    const text = this.#out;
    this.#out = "";
    this.#parts?.socket.write(text);
  }

  endAccepted(attempt: Attempt): void {
    if (!this.works.delete(attempt.argsId)) return;
    this.tellLater(`{"t":"accepted","argsId":"${attempt.argsId}","end":true}`);
    this.#settle();
  }

  /** Has the program forget a workflow: parked, or stale. */
  forget(attempt: Attempt): void {
    if (!this.works.delete(attempt.argsId)) return;
    this.#forgotten.add(attempt.argsId);
    this.#freeFolder(attempt);
    this.tell(`{"t":"parked","argsId":"${attempt.argsId}"}`);
    this.#settle();
  }

  /** Forgets a work that the program never had. */
  lose(attempt: Attempt): void {
    this.works.delete(attempt.argsId);
    const index = this.line.indexOf(attempt);
    if (index >= 0) this.line.splice(index, 1);
    attempt.host = null;
    this.#freeFolder(attempt);
  }

  /** Takes back works that have not begun: all behind the current one, or one of them. */
  withdraw(only?: Attempt): Attempt[] {
    const taken = this.line.filter((attempt) => attempt.phase === "given" && (only === undefined || attempt === only));
    for (const attempt of taken) {
      this.line.splice(this.line.indexOf(attempt), 1);
      this.works.delete(attempt.argsId);
      this.#withdrawn.add(attempt.argsId);
      attempt.host = null;
      this.#freeFolder(attempt);
      this.tell(`{"t":"cancel","argsId":"${attempt.argsId}","reason":"withdrawn"}`);
    }
    return taken;
  }

  /** Gives it nothing more, and ends it once everything that it holds is safe. */
  recycle(): void {
    if (this.state === "starting" || this.state === "ready") this.state = "ending";
    this.#settle();
  }

  /** Ends the whole process group at once. The first verdict stands. */
  kill(verdict: Verdict): void {
    this.verdict ??= verdict;
    if (this.state !== "gone") this.state = "ending";
    this.#parts?.signal("SIGKILL");
  }

  /** The process has ended: whatever it still held is returned, the one that was running first. */
  end(exit: ProgramExit | null): Attempt[] {
    this.state = "gone";
    this.exit = exit;
    const { id, unconfirmed } = this;
    // R3: whoever finds that a task was executed twice, without a failure, finds here that it may have been.
    if (unconfirmed > 0) this.#deps.logger.info({ program: id, unconfirmed }, "Taken back, perhaps begun");
    this.#parts?.signal("SIGKILL");
    const left = [...this.works.values()];
    this.works.clear();
    this.line.length = 0;
    return left;
  }

  /** Hears lines of the program. */
  hear(lines: readonly string[]): void {
    const frames: ProgramFrame[] = [];
    let answers = 0;
    for (const line of lines) {
      const frame = readFrame(line);
      if (typeof frame === "string") {
        this.#owner.violated(this, frame);
        return;
      }
      if (frame.t === "done" || frame.t === "fail") answers += 1;
      frames.push(frame);
    }
    const nowMs = this.#deps.clock.monotonicMs();
    // Answers that came together took about equally long each.
    const ranMs =
      this.kind === "task" && answers > 0 && this.line[0] ? (nowMs - this.line[0].startedAtMs) / answers : 0;
    for (const frame of frames) {
      if (this.state === "gone" || this.verdict !== null) return;
      if (frame.t === "hello") this.#owner.violated(this, "said hello twice on one connection");
      else this.#take(frame, nowMs, ranMs);
    }
    this.#owner.changed(this);
  }

  #take(frame: Answer | Saying, nowMs: number, ranMs: number): void {
    const attempt = this.works.get(frame.argsId);
    if (attempt === undefined || isOver(attempt)) {
      this.#takeStray(frame);
      return;
    }
    if (isAnswer(frame)) {
      this.#takeAnswer(attempt, frame, nowMs, this.kind === "task" ? ranMs : nowMs - attempt.startedAtMs);
    } else this.#owner.said(this, attempt, frame);
  }

  /** A withdrawal confirmed, an answer given twice, or a word about work that it does not have (T1). */
  #takeStray(frame: Answer | Saying): void {
    if (frame.t === "fail" && frame.failure.type === "CancelledError" && this.#withdrawn.delete(frame.argsId)) {
      this.tell(`{"t":"accepted","argsId":"${frame.argsId}","end":true}`);
      this.#settle();
      return;
    }
    if (this.kind === "task" || (isAnswer(frame) && !this.#forgotten.has(frame.argsId))) this.recycle();
  }

  #takeAnswer(attempt: Attempt, answer: Answer, nowMs: number, ranMs: number): void {
    const { logs } = this.#requireParts();
    if (this.kind === "task") {
      if (attempt.phase === "given") moveAttempt(attempt, "running");
      this.line.splice(this.line.indexOf(attempt), 1);
    } else logs.begin(attempt, { shared: true });
    moveAttempt(attempt, "reporting");
    this.#unfinished.add(attempt);
    logs.finish(attempt, answer.offsets, () => this.#owner.answered(this, attempt, answer, ranMs));
    attempt.ends = { ...logs.marks };
    const next = this.line[0];
    if (next !== undefined && next.phase === "given") this.#start(next, nowMs);
    this.idleSinceMs = nowMs;
    if (answer.t === "fail" && this.kind === "task") this.recycle();
    if (this.#tasks >= recycleAfterTasks || logs.position > recycleLogBytes) this.recycle();
  }

  /** An answered attempt's folder is done with: its values have been taken. */
  finished(attempt: Attempt): void {
    this.#unfinished.delete(attempt);
    if (this.state === "gone") this.removeWhenDone();
    else this.#freeFolder(attempt);
  }

  /** Removes what an ended process leaves, once nobody reads it any more. */
  removeWhenDone(): void {
    if (this.#unfinished.size === 0) void this.remove();
  }

  /** Closes its files and removes its folder. */
  remove(): Promise<void> {
    this.#removal ??= (this.#parts?.remove() ?? Promise.resolve()).catch((error) => {
      this.#deps.logger.error({ error, process: this.id }, "Cannot remove a process's folder");
    });
    return this.#removal;
  }

  /** Keeps the folder of an ended process until `finished`. */
  keepFolderFor(attempt: Attempt): void {
    this.#unfinished.add(attempt);
  }

  #freeFolder(attempt: Attempt): void {
    if (attempt.folder === "") return;
    const emptying = this.#requireParts().folders.take(attempt.folder);
    attempt.folder = "";
    if (emptying === null) return;
    this.#emptying += 1;
    const done = () => {
      this.#emptying -= 1;
      this.#owner.changed(this);
    };
    emptying.then(done, (error) => {
      this.#deps.logger.error({ error, program: this.id }, "Cannot empty a work folder");
      this.recycle();
      done();
    });
  }

  /** Ends a process that is done with. */
  #settle(): void {
    if (this.works.size > 0) return;
    this.idleSinceMs = this.#deps.clock.monotonicMs();
    if (this.isTainted) this.kill({ culprit: null, failure: null });
    else if (this.state === "ending" && !this.#quitting) {
      this.#quitting = true;
      this.tell('{"t":"quit"}');
      this.#deps.clock.after(limits.killGraceMs, () => this.kill({ culprit: null, failure: null }));
    }
  }

  #requireParts(): ProgramParts {
    if (this.#parts === null) throw new Error("Broken invariant: a program that has no parts yet is not used.");
    return this.#parts;
  }
}
