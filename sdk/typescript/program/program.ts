import type { Clock } from "#shared/ports.ts";
import type { AgentToProgramFrame, ProgramFrame, Work } from "#shared/protocol/task.ts";
import type { FileValue } from "#shared/values/types.ts";
import type { Registry } from "../declare/registry.ts";
import { CancelledError, RemoteError, UnknownTaskType } from "../failures/errors.ts";
import { failureOf } from "../failures/failure.ts";
import { createTaskContext, type RunningTask, type TaskHost } from "../task/create-task-context.ts";
import { executeTask } from "../task/execute-task.ts";
import type { WorkEnd } from "../workflow/work-end.ts";
import { WorkflowExecution } from "../workflow/workflow-execution.ts";
import { sdkName, taskProtocol } from "./version.ts";
import { WorkLeases } from "./work-leases.ts";

/** What the process offers around a task: where it works and what it leaves behind. */
export interface ProcessHost extends Pick<TaskHost, "texts" | "hashFile" | "writeLine"> {
  /** Before a task: its folder becomes the working directory and the temporary folder. */
  enter(work: Work): void;
  /** After a task: everything as at the start. False when timers, child processes or servers are left over. */
  leave(): boolean;
  /** How long the files behind stdout and stderr are. */
  offsets(): { stdout: number; stderr: number };
  writeError(error: unknown): void;
  exit(code: number): void;
  /** Ends the process with its whole group, at once. */
  kill(): void;
}

export interface ProgramDeps {
  readonly clock: Clock;
  readonly registry: Registry;
  readonly host: ProcessHost;
  readonly session: string;
  readonly pid: number;
  /** The work named on the command line: the program ends after it. Null: it waits for more. */
  readonly argsId: string | null;
  /** Dropped while there is no connection: what matters is sent again after `resume`. */
  send(frame: ProgramFrame): void;
}

type EndFrame = Extract<ProgramFrame, { t: "done" | "fail" | "restart" }>;
type EmitFrame = Extract<ProgramFrame, { t: "emit" }>;

type WorkState =
  | { readonly kind: "queued"; readonly work: Work }
  | { readonly kind: "task"; readonly running: RunningTask }
  | { readonly kind: "workflow"; readonly execution: WorkflowExecution }
  | { readonly kind: "ended"; readonly frame: EndFrame };

interface Fetch {
  readonly sha256: FileValue["sha256"];
  resolve(path: string): void;
  reject(error: Error): void;
}

const crashGraceMs = 5_000;
const forgottenMax = 1_000;

/**
 * The program's side of the task protocol, apart from the socket. Tasks are executed one at a time in the order in which
 * they came; workflow works run side by side.
 *
 * R1  A frame about work that the program never had is dropped, and the process ends after what it has begun (T1).
 * R2  `done`, `fail`, `restart` and `emit` are kept until accepted, and sent again after `resume` (T2).
 * R3  Of what is queued in a process that is to end, it says `unbegun`.
 * R4  After a task that left timers, child processes or servers behind, the process ends once the answer is accepted.
 */
export class Program {
  readonly #deps: ProgramDeps;
  readonly #works = new Map<string, WorkState>();
  readonly #queue: string[] = [];
  readonly #emits = new Map<string, Map<string, EmitFrame>>();
  readonly #fetches = new Map<string, Fetch[]>();
  /** Works that are over: frames about them are late, not foreign. */
  readonly #over = new Set<string>();
  readonly #leases: WorkLeases;
  #busy = false;
  #leaving: { readonly code: number } | null = null;

  constructor(deps: ProgramDeps) {
    this.#deps = deps;
    this.#leases = new WorkLeases(deps.clock, () => deps.host.kill());
  }

  /** The first frame of each connection. */
  hello(): ProgramFrame {
    const { argsId, session, pid } = this.#deps;
    const working = [...this.#works].map(([id, state]) => ({ argsId: id, ...progressOf(state) }));
    return { t: "hello", protocol: taskProtocol, sdk: sdkName, session, pid, argsId, working };
  }

  receive(frame: AgentToProgramFrame): void {
    if (frame.t === "quit") {
      this.#deps.host.exit(0);
    } else if (frame.t === "work") {
      this.#begin(frame);
    } else {
      const state = this.#works.get(frame.argsId);
      if (state !== undefined) this.#receiveOf(frame, state);
      else if (!this.#over.has(frame.argsId)) this.#leave(0);
    }
  }

  /** An error that nobody caught: fails the work it belongs to, then the process ends. */
  crash(error: unknown, argsId: string | undefined): void {
    this.#deps.host.writeError(error);
    const id = argsId ?? this.#onlyTask();
    const state = id === undefined ? undefined : this.#works.get(id);
    if (id === undefined) {
      this.#deps.host.exit(1);
      return;
    }
    if (state?.kind === "workflow") state.execution.fail(error);
    else if (state?.kind === "task") this.#endWork(id, { t: "fail", failure: failureOf(error) });
    else {
      // What an earlier work has left over fails no other; but the process is no longer clean.
      this.#leave(1);
      return;
    }
    this.#deps.clock.after(crashGraceMs, () => this.#deps.host.exit(1));
    this.#leaving = { code: 1 };
  }

  #onlyTask(): string | undefined {
    for (const [id, state] of this.#works) if (state.kind === "task") return id;
    return this.#works.size === 1 ? this.#works.keys().next().value : undefined;
  }

  #begin(work: Work): void {
    if (this.#works.has(work.argsId) || this.#over.has(work.argsId)) return;
    if (work.kind === "workflow") {
      this.#beginWorkflow(work);
      return;
    }
    this.#works.set(work.argsId, { kind: "queued", work });
    this.#leases.hold(work.argsId, work.untilMs);
    this.#queue.push(work.argsId);
    if (this.#leaving !== null) this.#giveBackQueued();
    else this.#nextTask();
  }

  #beginWorkflow(work: Work): void {
    const definition = this.#deps.registry.workflows.get(work.name);
    if (definition === undefined) {
      this.#endUnknown(work);
      return;
    }
    const execution = new WorkflowExecution(
      {
        clock: this.#deps.clock,
        texts: this.#deps.host.texts,
        send: this.#deps.send,
        end: (end) => this.#endWork(work.argsId, end),
        warn: (message) => this.#deps.host.writeLine(message),
      },
      work,
    );
    this.#works.set(work.argsId, { kind: "workflow", execution });
    execution.start(definition);
  }

  #nextTask(): void {
    if (this.#busy || this.#leaving !== null) return;
    const work = this.#takeQueued();
    if (work === null) return;
    const definition = this.#deps.registry.tasks.get(work.name);
    if (definition === undefined) {
      this.#endUnknown(work);
      this.#nextTask();
      return;
    }
    const { host, clock } = this.#deps;
    this.#busy = true;
    if (!this.#leases.begin(work.argsId)) return;
    const running = createTaskContext(this.#taskHost(), work);
    this.#works.set(work.argsId, { kind: "task", running });
    const startedMs = clock.monotonicMs();
    host.enter(work);
    void executeTask(running, work, definition).then((end) => {
      if (!host.leave()) this.#leaving ??= { code: 0 };
      this.#endWork(work.argsId, end);
      this.#busy = false;
      if (this.#leaving !== null) this.#giveBackQueued();
      // After a task of some length its answer goes out first; short ones share a write.
      if (clock.monotonicMs() - startedMs > 1) clock.soon(() => this.#nextTask());
      else this.#nextTask();
    });
  }

  /** The next work that was not cancelled while it waited. */
  #takeQueued(): Work | null {
    for (let argsId = this.#queue.shift(); argsId !== undefined; argsId = this.#queue.shift()) {
      const state = this.#works.get(argsId);
      if (state?.kind === "queued") return state.work;
    }
    return null;
  }

  #taskHost(): TaskHost {
    const { host, send } = this.#deps;
    return {
      texts: host.texts,
      hashFile: host.hashFile,
      writeLine: host.writeLine,
      send,
      emit: (frame) => {
        const kept = this.#emits.get(frame.argsId) ?? new Map<string, EmitFrame>();
        this.#emits.set(frame.argsId, kept.set(frame.key, frame));
        send(frame);
      },
      fetchFile: (argsId, { sha256 }) =>
        new Promise((resolve, reject) => {
          const fetches = this.#fetches.get(argsId) ?? [];
          this.#fetches.set(argsId, fetches);
          fetches.push({ sha256, resolve, reject });
          send({ t: "fetch", argsId, sha256 });
        }),
    };
  }

  #receiveOf(frame: Exclude<AgentToProgramFrame, { t: "work" | "quit" }>, state: WorkState): void {
    switch (frame.t) {
      case "accepted":
        this.#accepted(frame, state);
        return;
      case "resume":
        this.#resume(frame.argsId, state);
        return;
      case "lease":
        this.#leases.extend(frame.argsId, frame.untilMs);
        return;
      case "cancel":
        this.#cancel(frame.argsId, frame.reason, state);
        return;
      case "parked":
        if (state.kind === "workflow") {
          state.execution.close();
          this.#forget(frame.argsId);
        }
        return;
      case "fetched":
        this.#fetched(frame);
        return;
      default:
        if (state.kind === "workflow") state.execution.receive(frame);
    }
  }

  #accepted(frame: Extract<AgentToProgramFrame, { t: "accepted" }>, state: WorkState): void {
    for (const key of frame.emits ?? []) this.#emits.get(frame.argsId)?.delete(key);
    if (state.kind === "workflow") state.execution.receive(frame);
    if (frame.end === true && state.kind === "ended") this.#forget(frame.argsId);
  }

  #resume(argsId: string, state: WorkState): void {
    for (const frame of this.#emits.get(argsId)?.values() ?? []) this.#deps.send(frame);
    for (const { sha256 } of this.#fetches.get(argsId) ?? []) this.#deps.send({ t: "fetch", argsId, sha256 });
    if (state.kind === "workflow") state.execution.receive({ t: "resume", argsId });
    if (state.kind === "ended") this.#deps.send(state.frame);
  }

  #cancel(argsId: string, reason: string, state: WorkState): void {
    if (state.kind === "task") state.running.cancel(reason);
    if (state.kind !== "queued") return;
    this.#endWork(argsId, { t: "fail", failure: failureOf(new CancelledError(reason, "The task was cancelled")) });
  }

  #fetched({ argsId, sha256, path, failure }: Extract<AgentToProgramFrame, { t: "fetched" }>): void {
    const fetches = this.#fetches.get(argsId) ?? [];
    this.#fetches.set(
      argsId,
      fetches.filter((fetch) => fetch.sha256 !== sha256),
    );
    for (const fetch of fetches.filter((one) => one.sha256 === sha256)) {
      if (path !== undefined) fetch.resolve(path);
      else
        fetch.reject(
          new RemoteError(failure ?? { type: "NotFound", message: "the file is not there", retryable: true }),
        );
    }
  }

  #endUnknown(work: Work): void {
    const what = work.kind === "task" ? "task type" : "workflow";
    const error = new UnknownTaskType(`This release has no ${what} '${work.name}'.`);
    this.#endWork(work.argsId, { t: "fail", failure: failureOf(error) });
  }

  #endWork(argsId: string, end: WorkEnd): void {
    if (this.#works.get(argsId)?.kind === "ended") return;
    const frame: EndFrame = { ...end, argsId, offsets: this.#deps.host.offsets() };
    this.#works.set(argsId, { kind: "ended", frame });
    this.#leases.end(argsId);
    this.#fetches.delete(argsId);
    this.#deps.send(frame);
  }

  #forget(argsId: string): void {
    this.#works.delete(argsId);
    this.#emits.delete(argsId);
    this.#over.add(argsId);
    if (this.#over.size > forgottenMax) this.#over.delete(this.#over.values().next().value as string);
    if (argsId === this.#deps.argsId) this.#leave(0);
    else if (this.#leaving !== null) this.#leave(this.#leaving.code);
  }

  /** Says of what is queued that it will not be begun here, so that it counts no attempt. */
  #giveBackQueued(): void {
    for (let work = this.#takeQueued(); work !== null; work = this.#takeQueued()) {
      this.#works.delete(work.argsId);
      this.#leases.end(work.argsId);
      this.#over.add(work.argsId);
      this.#deps.send({ t: "unbegun", argsId: work.argsId });
    }
  }

  /** Ends the process as soon as nothing that was begun is unanswered. */
  #leave(code: number): void {
    this.#leaving ??= { code };
    this.#giveBackQueued();
    if (this.#works.size > 0) return;
    const { clock, host } = this.#deps;
    // What was said in this turn goes out at its end.
    clock.soon(() => clock.soon(() => host.exit(code)));
  }
}

function progressOf(state: WorkState): { given: number; calls?: number } {
  if (state.kind === "workflow") return { given: state.execution.given, calls: state.execution.acceptedCalls };
  return { given: state.kind === "ended" ? (state.frame.given ?? 0) : 0 };
}
