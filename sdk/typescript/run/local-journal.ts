import type { Failure } from "#shared/domain/errors.ts";
import type { CallKey } from "#shared/domain/ids.ts";
import type { Clock } from "#shared/ports.ts";
import type { ProgramCall, ProgramEntry, ProgramValue } from "#shared/protocol/task.ts";

type WithoutPosition<E> = E extends unknown ? Omit<E, "p" | "at"> : never;
export type NewEntry = WithoutPosition<ProgramEntry>;
export type Outcome = Pick<Extract<ProgramEntry, { e: "settled" }>, "outcome" | "value" | "failure">;

/** The journal of one run in memory: entries get a position and a time, and each call settles once. */
export interface LocalJournal {
  append(entry: NewEntry): void;
  /** Journals a call; false when it is already there. */
  call(call: ProgramCall): boolean;
  /** Settles a call unless it has settled. */
  settle(key: CallKey, outcome: Outcome): void;
  /** Resolves once the call has settled. */
  settled(key: CallKey): Promise<Outcome>;
  isSettled(key: CallKey): boolean;
  /** Calls that have not settled, in journal order. */
  open(): readonly ProgramCall[];
}

export const succeeded = (value: ProgramValue): Outcome => ({ outcome: "succeeded", value });
export const failed = (failure: Failure): Outcome => ({ outcome: "failed", failure });

interface Settling {
  readonly call: ProgramCall;
  readonly promise: Promise<Outcome>;
  resolve(outcome: Outcome): void;
  settled: boolean;
}

export function createLocalJournal(clock: Clock, deliver: (entry: ProgramEntry) => void): LocalJournal {
  const calls = new Map<CallKey, Settling>();
  let position = 0;
  const append = (entry: NewEntry): void => {
    position += 1;
    deliver({ ...entry, p: position, at: clock.nowMs() } as ProgramEntry);
  };
  return {
    append,
    call(call) {
      if (calls.has(call.key)) return false;
      calls.set(call.key, { ...Promise.withResolvers<Outcome>(), call, settled: false });
      const name = "name" in call ? call.name : "sleep";
      append({ e: "called", key: call.key, kind: call.kind, name, digest: call.digest });
      return true;
    },
    settle(key, outcome) {
      const call = calls.get(key);
      if (call === undefined || call.settled) return;
      call.settled = true;
      append({ e: "settled", key, ...outcome });
      call.resolve(outcome);
    },
    settled: (key) => calls.get(key)?.promise ?? Promise.reject(new Error(`'${key}' was not called`)),
    isSettled: (key) => calls.get(key)?.settled === true,
    open: () => [...calls.values()].filter((call) => !call.settled).map(({ call }) => call),
  };
}
