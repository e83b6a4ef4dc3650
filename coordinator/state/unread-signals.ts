import type { CallKey } from "#shared/domain/ids.ts";
import type { JournalRecord } from "../records.ts";

export type SignalRecord = Extract<JournalRecord, { e: "signal" }>;

/** The signals that no wait of a run has taken. */
export const unreadSignals = (journal: readonly JournalRecord[]): SignalRecord[] => readMailboxes(journal).unread;

/**
 * The signals that no wait of a run has taken, and the waits that have taken one, by the rule that its program follows
 * too: arrivals of a name are a mailbox in journal order, and each goes to the earliest wait that has not timed out.
 */
export function readMailboxes(journal: readonly JournalRecord[]): {
  unread: SignalRecord[];
  over: ReadonlySet<CallKey>;
} {
  const over = new Set<CallKey>();
  const mailboxes = new Map<string, { waiting: CallKey[]; unread: SignalRecord[] }>();
  const boxOf = (name: string) => {
    const box = mailboxes.get(name) ?? { waiting: [], unread: [] };
    mailboxes.set(name, box);
    return box;
  };
  const nameOfWait = new Map<string, string>();
  for (const record of journal) {
    if (record.e === "called" && record.kind === "signal") {
      nameOfWait.set(record.key, record.name);
      const box = boxOf(record.name);
      if (box.unread.shift()) over.add(record.key);
      else box.waiting.push(record.key);
    } else if (record.e === "signal") {
      const box = boxOf(record.name);
      const wait = box.waiting.shift();
      if (wait) over.add(wait);
      else box.unread.push(record);
    } else if (record.e === "settled" && nameOfWait.has(record.key)) {
      const box = boxOf(nameOfWait.get(record.key) ?? "");
      box.waiting = box.waiting.filter((key) => key !== record.key);
    }
  }
  const unread = new Set([...mailboxes.values()].flatMap((box) => box.unread));
  return { unread: journal.filter((record) => record.e === "signal").filter((signal) => unread.has(signal)), over };
}
