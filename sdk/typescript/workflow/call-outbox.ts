import type { CallKey } from "#shared/domain/ids.ts";
import type { ProgramCall, ProgramFrame } from "#shared/protocol/task.ts";
import type { Texts } from "../program/texts.ts";
import { callFrame, inBatches } from "./call-frames.ts";
import type { WorkflowCall } from "./workflow-call.ts";

/**
 * What a workflow has still to tell the agent: calls, and which outputs it wants.
 *
 * O1  While the work is a replay no call is sent, since it may be in the part of the journal still to come.
 * O2  A sent call is kept until the agent has accepted it or the journal shows it (T2).
 */
export interface CallOutbox {
  addCall(call: WorkflowCall): void;
  /** The output of a call is wanted. `now`: delivery waits for it, so ask also during a replay. */
  ask(call: WorkflowCall, now: boolean): void;
  /** Calls that are not journaled and not sent. */
  unsent(): readonly WorkflowCall[];
  readonly unsentCount: number;
  /** The journal shows the call. */
  journaled(key: CallKey): void;
  /** The first `count` calls sent by this process are safe. */
  accepted(count: number): void;
  /** Sends what may be sent. */
  flush(at: { readonly given: number; readonly replaying: boolean }): void;
  /** Sends again what a new connection may not know. */
  resume(given: number): void;
  /** How many of the calls sent by this process, from the first on without gap, are known to be safe. */
  readonly acceptedCount: number;
  /** Whether every call is sent and safe. */
  readonly quiet: boolean;
}

export function createCallOutbox(deps: {
  readonly argsId: string;
  readonly folder: string;
  readonly texts: Texts;
  readonly send: (frame: ProgramFrame) => void;
}): CallOutbox {
  const { argsId, folder, texts, send } = deps;
  let calls: WorkflowCall[] = [];
  const asks = new Map<WorkflowCall, boolean>();
  const asked = new Set<WorkflowCall>();
  const kept = new Map<CallKey, ProgramCall>();
  const sentKeys: CallKey[] = [];
  let acceptedCount = 0;

  const sendCalls = (frames: readonly ProgramCall[], given: number): void => {
    for (const batch of inBatches(frames)) send({ t: "calls", argsId, given, calls: batch });
  };
  const sendAsks = (wanted: readonly WorkflowCall[]): void => {
    for (let start = 0; start < wanted.length; start += 1_000) {
      send({ t: "await", argsId, keys: wanted.slice(start, start + 1_000).map((call) => call.key) });
    }
  };
  const frameOf = (call: WorkflowCall): ProgramCall[] => {
    if (call.body === null || call.stage !== "unsent") return [];
    const frame = callFrame(call, call.body, { texts, folder });
    call.stage = "sent";
    call.body = null;
    kept.set(call.key, frame);
    sentKeys.push(call.key);
    if (call.deferred !== null) asks.delete(call);
    return [frame];
  };

  return {
    addCall: (call) => void calls.push(call),
    ask(call, now) {
      if (!asked.has(call)) asks.set(call, now || asks.get(call) === true);
    },
    unsent: () => calls.filter((call) => call.stage === "unsent"),
    journaled(key) {
      kept.delete(key);
      for (let next = sentKeys[acceptedCount]; next !== undefined && !kept.has(next); next = sentKeys[acceptedCount]) {
        acceptedCount += 1;
      }
    },
    accepted(count) {
      for (; acceptedCount < Math.min(count, sentKeys.length); acceptedCount++) {
        kept.delete(sentKeys[acceptedCount] as CallKey);
      }
    },
    get acceptedCount() {
      return acceptedCount;
    },
    flush({ given, replaying }) {
      if (!replaying && calls.length > 0) {
        sendCalls(calls.flatMap(frameOf), given);
        calls = [];
      }
      if (asks.size === 0) return;
      const wanted: WorkflowCall[] = [];
      for (const [call, now] of asks) {
        if (replaying && !now && call.state !== "resolved") continue;
        asks.delete(call);
        if (call.state === "resolved") continue;
        asked.add(call);
        wanted.push(call);
      }
      sendAsks(wanted);
    },
    resume(given) {
      sendCalls([...kept.values()], given);
      sendAsks([...asked].filter((call) => call.state !== "resolved"));
    },
    get unsentCount() {
      return calls.length;
    },
    get quiet() {
      return calls.length === 0 && kept.size === 0;
    },
  };
}
