import type { JournalRecord } from "../records.ts";

export type SignalRecord = Extract<JournalRecord, { e: "signal" }>;

/**
 * The signals that no wait of a run has taken, by the rule that its program follows too: arrivals of a name are a
 * mailbox in journal order, and each goes to the earliest wait that has not timed out.
 */
export function unreadSignals(journal: readonly JournalRecord[]): SignalRecord[] {
  const mailboxes = new Map<string, { waiting: string[]; unread: SignalRecord[] }>();
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
      if (box.unread.length > 0) box.unread.shift();
      else box.waiting.push(record.key);
    } else if (record.e === "signal") {
      const box = boxOf(record.name);
      if (box.waiting.length > 0) box.waiting.shift();
      else box.unread.push(record);
    } else if (record.e === "settled" && nameOfWait.has(record.key)) {
      const box = boxOf(nameOfWait.get(record.key) ?? "");
      box.waiting = box.waiting.filter((key) => key !== record.key);
    }
  }
  const unread = new Set([...mailboxes.values()].flatMap((box) => box.unread));
  return journal.filter((record): record is SignalRecord => record.e === "signal" && unread.has(record));
}
