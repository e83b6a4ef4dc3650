import { assert } from "#shared/domain/assert.ts";
import type { CallKey } from "#shared/domain/ids.ts";
import type { AttemptName, Lease } from "#shared/protocol/agent.ts";
import type { ProgramValue, Work } from "#shared/protocol/task.ts";
import type { StreamName } from "../ports.ts";
import { type LogProgress, newLogProgress } from "../runner/log-follower.ts";
import { Serial } from "../serial.ts";

/**
 * `preparing`: binary and values are brought. `waiting`: for a process. `given`: to a process that is busy with an
 * earlier one. `running`: its program is at it. `reporting`: it has a result that the coordinator has not accepted.
 * `gone`: the agent has no more to do with it.
 */
export type AttemptPhase = "preparing" | "waiting" | "given" | "running" | "reporting" | "gone";

const moves: Readonly<Record<AttemptPhase, readonly AttemptPhase[]>> = {
  preparing: ["waiting", "reporting", "gone"],
  waiting: ["given", "running", "reporting", "gone"],
  given: ["running", "reporting", "gone"],
  running: ["reporting", "gone"],
  reporting: ["gone"],
  gone: [],
};

/** What an attempt needs of the process that it was given to. */
export interface Host {
  readonly id: string;
  /** Lines for the program, in order, sent with what else the turn brings. */
  tell(line: string): void;
  /** A line that the program does not wait for: it goes with the next one, or shortly. */
  tellLater(line: string): void;
  /** A line about this attempt. */
  tellOf(attempt: Attempt, line: string): void;
  /** Reads nothing more of the program, or goes on. */
  hold(held: boolean): void;
  /** The report is safe: the program may forget its answer, and the process the attempt. */
  endAccepted(attempt: Attempt): void;
}

export interface Stop {
  readonly reason: string;
  /** On the monotonic clock. */
  readonly atMs: number;
  readonly graceMs: number;
  terminated: boolean;
}

export interface PreparedInput {
  readonly input: ProgramValue;
  readonly refs?: Record<string, ProgramValue>;
  readonly manyRefs?: NonNullable<Work["manyRefs"]>;
}

/** One lease in this agent's hands, from grant to accepted report. */
export interface Attempt {
  readonly lease: Lease;
  /** `<fence>:<task>`. */
  readonly key: string;
  /** Names the work between agent and program. */
  readonly argsId: string;
  readonly grantedAtMs: number;
  phase: AttemptPhase;
  /**
   * C17: until when the lease is surely held, on the monotonic clock. The attempt does not begin before it is (0), and does
   * not go on after. Without end where it may outlast its lease.
   */
  heldUntilMs: number;
  /** The coordinator has been told that the grant is accepted. */
  accepted: boolean;
  saidStarted: boolean;
  /** Its report has been handed over: from then on the lease is kept by nothing. */
  reported: boolean;
  startedAtMs: number;
  prepared: PreparedInput | null;
  host: Host | null;
  folder: string;
  stop: Stop | null;
  /** Ends what is being brought for it early; null while nothing had to be brought. */
  abort: AbortController | null;
  /** Files that hold values, to be removed with the attempt. */
  readonly valueFiles: string[];
  /** Blobs that its program has asked for. */
  fetches: number;
  readonly logs: LogProgress;
  /** Where its output ended in the files of its process. */
  ends: Readonly<Record<StreamName, number>> | null;
  /** From program to coordinator, and back. */
  readonly up: Serial;
  readonly down: Serial;
  /** Workflow tasks: the last journal position passed on; what to say to a program that is not there yet; counts of calls. */
  given: number;
  /** The journal that its lease took to be kept here is not: entries count from the first one on. */
  lacking: boolean;
  readonly early: string[];
  /** Calls and emits that the coordinator has not accepted. */
  unaccepted: number;
  /** The latest word on how far it is. */
  progress: { fraction?: number; message?: string } | null;
  readonly callsOpen: { count: number; accepted: boolean }[];
  callsAccepted: number;
  /** Values asked for and not answered yet; asked for again in a new session. */
  readonly awaiting: Set<CallKey>;
  parking: { given: number; awaiting: readonly CallKey[] } | null;
  /** Since when there has been something asked for without an answer, on the monotonic clock. */
  asksSinceMs: number | null;
}

/** Whether its attempt must not outlast the lease. */
export const isStrict = (lease: Lease): boolean => lease.onLeaseLost === "stop";

export const attemptKey = (name: AttemptName): string => `${name.fence}:${name.task}`;
export const nameOf = (attempt: Attempt): AttemptName => ({ task: attempt.lease.task, fence: attempt.lease.fence });

export function newAttempt(
  lease: Lease,
  options: {
    argsId: string;
    nowMs: number;
    failed: (attempt: Attempt, error: unknown) => void;
    logs?: LogProgress;
  },
): Attempt {
  const fail = (error: unknown) => options.failed(attempt, error);
  const attempt: Attempt = {
    lease,
    key: attemptKey(lease),
    argsId: options.argsId,
    grantedAtMs: options.nowMs,
    phase: "preparing",
    heldUntilMs: isStrict(lease) ? 0 : Number.POSITIVE_INFINITY,
    accepted: false,
    saidStarted: false,
    reported: false,
    startedAtMs: 0,
    prepared: null,
    host: null,
    folder: "",
    stop: null,
    abort: null,
    valueFiles: [],
    fetches: 0,
    logs: options.logs ?? newLogProgress(),
    ends: null,
    up: new Serial(fail),
    down: new Serial(fail),
    given: 0,
    lacking: false,
    early: [],
    unaccepted: 0,
    progress: null,
    callsOpen: [],
    callsAccepted: 0,
    awaiting: new Set(),
    parking: null,
    asksSinceMs: null,
  };
  return attempt;
}

export function moveAttempt(attempt: Attempt, to: AttemptPhase): void {
  assert(moves[attempt.phase].includes(to), `a ${attempt.phase} attempt does not become ${to}`);
  attempt.phase = to;
}

export const isOver = (attempt: Attempt): boolean => attempt.phase === "reporting" || attempt.phase === "gone";
