import { SaltError } from "#shared/domain/errors.ts";
import type { CallKey } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import { DuplicateCallKey, JournalTooLong, NonDeterministicWorkflow } from "../failures/errors.ts";
import type { CalledEntry, WorkflowCall } from "./workflow-call.ts";

/** The calls that the code has made, beside those that the journal says it made. */
export interface CallBook {
  /** The key of the next call of that base name, or the explicit one. Throws DuplicateCallKey when it is taken. */
  keyFor(base: string, explicit: string | undefined): CallKey;
  /** Adds a call. Throws NonDeterministicWorkflow when the journal has another under its key, JournalTooLong at 50,000. */
  add(call: WorkflowCall): void;
  /** Takes note of a journaled call. Throws NonDeterministicWorkflow when the code has made another under its key. */
  note(entry: CalledEntry): void;
  get(key: CallKey): WorkflowCall | undefined;
  /** Calls in the order in which they were made. */
  all(): Iterable<WorkflowCall>;
  readonly size: number;
  /** How many random numbers or UUIDs have been drawn, this one included. */
  count(base: string): number;
}

const keyPattern = /^[^/\p{Cc}@][^/\p{Cc}]*$/u;

export function createCallBook(): CallBook {
  const made = new Map<CallKey, WorkflowCall>();
  const journaled = new Map<CallKey, CalledEntry>();
  const counts = new Map<string, number>();
  const count = (base: string): number => {
    const n = (counts.get(base) ?? 0) + 1;
    counts.set(base, n);
    return n;
  };
  return {
    count,
    keyFor(base, explicit) {
      const key = (explicit === undefined ? `${base}#${count(base)}` : checkedKey(explicit)) as CallKey;
      if (made.has(key)) throw new DuplicateCallKey(key);
      return key;
    },
    add(call) {
      if (made.size >= limits.callsMax) {
        throw new JournalTooLong(
          `Cannot call '${call.key}': the run has made ${limits.callsMax} calls, the most that one journal holds. ` +
            "Go on as a new run with restart(input) before that.",
        );
      }
      const entry = journaled.get(call.key);
      if (entry !== undefined) {
        assertSame(entry, call);
        journaled.delete(call.key);
        call.stage = "journaled";
        call.body = null;
      }
      made.set(call.key, call);
    },
    note(entry) {
      const call = made.get(entry.key);
      if (call === undefined) {
        journaled.set(entry.key, entry);
        return;
      }
      assertSame(entry, call);
      call.stage = "journaled";
      call.body = null;
    },
    get: (key) => made.get(key),
    all: () => made.values(),
    get size() {
      return made.size;
    },
  };
}

function checkedKey(key: string): string {
  if (key.length <= limits.callKeyCharsMax && keyPattern.test(key) && key.isWellFormed()) return key;
  throw new SaltError("BadRequest", `Cannot call under the key ${JSON.stringify(key)}: it is not a valid key.`, {
    next: `Use 1 to ${limits.callKeyCharsMax} printable characters without '/', not beginning with '@'.`,
  });
}

const sideOf = (call: CalledEntry | WorkflowCall): object => ({
  key: call.key,
  kind: call.kind,
  name: call.name,
  digest: call.digest,
});

function assertSame(entry: CalledEntry, call: WorkflowCall): void {
  const differs =
    entry.kind !== call.kind
      ? `a ${entry.kind} call`
      : call.kind !== "sleep" && entry.name !== call.name
        ? `a call of '${entry.name}'`
        : entry.digest !== call.digest
          ? `a call of '${entry.name}' with other arguments`
          : null;
  if (differs === null) return;
  throw new NonDeterministicWorkflow(
    `The journal holds ${differs} under the key '${entry.key}' (position ${entry.p}), ` +
      `but the code now makes a ${call.kind} call of '${call.name}' under it. ${advice}`,
    { journal: { ...sideOf(entry), position: entry.p }, program: sideOf(call) },
  );
}

const advice =
  "A workflow must make the same calls each time it is replayed: take what changes (time, random numbers, files, " +
  "network) from its input, from tasks, or from now(), random() and uuid().";

/** The error for a program at rest, or at its end, that has not made a call which the journal holds. */
export function missingCall(
  entry: CalledEntry,
  unsent: readonly WorkflowCall[],
  thrown: { readonly error: unknown } | null,
): NonDeterministicWorkflow {
  const instead = unsent[0];
  const does =
    instead !== undefined
      ? `it calls '${instead.name}' under '${instead.key}' instead`
      : thrown !== null
        ? "it throws instead"
        : "it waits or has returned";
  return new NonDeterministicWorkflow(
    `The journal holds a ${entry.kind} call of '${entry.name}' under the key '${entry.key}' (position ${entry.p}), ` +
      `which the code no longer makes: ${does}. ${advice}`,
    { journal: { ...sideOf(entry), position: entry.p }, program: instead === undefined ? null : sideOf(instead) },
    thrown === null ? undefined : { cause: thrown.error },
  );
}
