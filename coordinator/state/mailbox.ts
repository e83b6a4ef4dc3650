import { type CallKey, partitionOf, type RunId, sha256, taskId } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Value } from "#shared/protocol/common.ts";
import { type Key, keyIn } from "../engine/engine.ts";
import { at } from "../engine/move.ts";
import { countKey, type TaskRecord, taskKey, timersIndex } from "../records.ts";
import type { Change } from "./change.ts";
import { tellDependents } from "./settle-call.ts";
import { timerMember } from "./timers.ts";

/**
 * C24: a run's mailboxes, one a name. Signals that no wait has taken are members of `unread`, waits that no signal has
 * come for are members of `waiting`; at most one of the two has members. Which signal a wait takes is decided by the
 * journal's order, in the program; here only that it took one is kept, for limits and for people.
 */
export const unreadIndex = (run: RunId, name: string): Key => keyIn(partitionOf(run), `unread/${run}/${name}`);
export const waitingIndex = (run: RunId, name: string): Key => keyIn(partitionOf(run), `waiting/${run}/${name}`);
/** Unread signals of all names: the run's bound is on them together. */
export const mailboxIndex = (run: RunId): Key => keyIn(partitionOf(run), `mailbox/${run}`);

/** Says that a signal has come, by its sender's id. */
export const signalKey = (run: RunId, id: string): Key => keyIn(partitionOf(run), `signal/${run}/${sha256(id)}`);

/** Members of a mailbox that one move looks at: more than it makes calls. */
const lookedAtMax = 20;

interface ArrivedSignal {
  readonly name: string;
  readonly id: string;
  readonly value: Value;
}

/** Gives an arrived signal to a wait, or keeps it. False when the run already keeps as many as it may. */
export function takeIn(change: Change, run: RunId, signal: ArrivedSignal): boolean {
  const { view } = change;
  const waits = view.rows(waitingIndex(run, signal.name), lookedAtMax);
  view.prepare(waits.map(({ member }) => taskKey(taskId(run, member as CallKey))));
  for (const { member } of waits) {
    // Moves of one batch see the same rows: an earlier one may have taken the first.
    if (endWait(change, run, signal, member as CallKey)) return true;
  }
  if (view.unmet && view.rows(mailboxIndex(run), limits.signalsBufferedMax).length >= limits.signalsBufferedMax) {
    return false;
  }
  change.check({ kind: "fewer", index: waitingIndex(run, signal.name), than: 1 });
  change.check({ kind: "fewer", index: mailboxIndex(run), than: limits.signalsBufferedMax });
  keepUnread(change, run, signal);
  return true;
}

/** Keeps a signal that is in the journal for a later wait. */
export function keepUnread(change: Change, run: RunId, { name, id, value }: ArrivedSignal): void {
  const member = sha256(id);
  change.rank(unreadIndex(run, name), member, at(change.view.nowMs), JSON.stringify(value));
  change.rank(mailboxIndex(run), member, at(change.view.nowMs));
}

/** Begins a wait: it takes a signal that is there already, else it is open until one comes. */
export function beginWait(change: Change, task: TaskRecord): void {
  const unread = unreadIndex(task.run, task.name);
  const rows = change.view.rows(unread, lookedAtMax);
  const taken = rows.filter(({ member }) => change.isUnranked(unread, member)).length;
  const first = rows[taken];
  if (!first) {
    // What this change has taken is there until it applies.
    change.check({ kind: "fewer", index: unread, than: taken + 1 });
    change.rank(waitingIndex(task.run, task.name), task.key, at(change.view.nowMs));
    return;
  }
  // A move of the same batch may have taken it: it has to be there.
  change.check({ kind: "fewer", index: unread, than: 0, member: first.member });
  change.unrank(unread, first.member);
  change.unrank(mailboxIndex(task.run), first.member);
  endWait(change, task.run, { name: task.name, value: JSON.parse(first.value ?? "null") as Value | null }, task.key);
}

/** A wait that timed out, or was cancelled, takes no signal any more. */
export function giveUpWait(change: Change, task: TaskRecord): void {
  change.unrank(waitingIndex(task.run, task.name), task.key);
}

/** The journal says by the signal's own entry that the wait is over; here its record does, for calls that were given its ref. */
function endWait(
  change: Change,
  run: RunId,
  { name, value }: { name: string; value: Value | null },
  key: CallKey,
): boolean {
  const id = taskId(run, key);
  const task = change.get<TaskRecord>(taskKey(id));
  if (task?.state !== "waiting") return false;
  change.unrank(waitingIndex(run, name), key);
  change.set(taskKey(id), { ...task, state: "succeeded", output: value, endedAtMs: Math.round(change.view.nowMs) });
  change.add(countKey(run, "succeeded"), 1);
  tellDependents(change, id, true);
  change.unrank(timersIndex(partitionOf(run)), timerMember({ kind: "call", task: id }));
  return true;
}
