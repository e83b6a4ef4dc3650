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
  /** Signals that no wait has taken, and waits that none has come for, by name: at most one of the two has members. */
  const mailboxes = new Map<string, { unread: ProgramValue[]; waiting: Settling[] }>();
  const mailboxOf = (name: string) => {
    const mailbox = mailboxes.get(name) ?? { unread: [], waiting: [] };
    mailboxes.set(name, mailbox);
    return mailbox;
  };
  /** The signal's own entry says that the wait is over; whoever was given its ref is told here. */
  const deliverSignals = (name: string): void => {
    const mailbox = mailboxOf(name);
    mailbox.waiting = mailbox.waiting.filter(({ settled }) => !settled);
    const [wait, value] = [mailbox.waiting[0], mailbox.unread[0]];
    if (wait === undefined || value === undefined) return;
    mailbox.waiting.shift();
    mailbox.unread.shift();
    wait.settled = true;
    wait.resolve(succeeded(value));
  };
  const append = (entry: NewEntry): void => {
    position += 1;
    deliver({ ...entry, p: position, at: clock.nowMs() } as ProgramEntry);
  };
  return {
    append(entry) {
      append(entry);
      if (entry.e !== "signal") return;
      mailboxOf(entry.name).unread.push(entry.value);
      deliverSignals(entry.name);
    },
    call(call) {
      if (calls.has(call.key)) return false;
      const settling: Settling = { ...Promise.withResolvers<Outcome>(), call, settled: false };
      calls.set(call.key, settling);
      const name = "name" in call ? call.name : "sleep";
      append({ e: "called", key: call.key, kind: call.kind, name, digest: call.digest });
      if (call.kind === "signal") {
        mailboxOf(call.name).waiting.push(settling);
        deliverSignals(call.name);
      }
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
