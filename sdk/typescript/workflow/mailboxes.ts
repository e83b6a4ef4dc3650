import type { ProgramValue } from "#shared/protocol/task.ts";
import type { WorkflowCall } from "./workflow-call.ts";

/**
 * Signals of a run by name: arrivals in journal order, and waits in the order of their calls. The n-th wait that has not
 * ended otherwise takes the n-th arrival.
 */
export interface Mailboxes {
  /** Hands an arrival to the first open wait and answers it, or keeps it for the next. */
  arrive(name: string, value: ProgramValue): WorkflowCall | null;
  /** Keeps an arrival, whoever waits. */
  keep(name: string, value: ProgramValue): void;
  /** Gives a new wait the first arrival that nobody took, if any. */
  wait(name: string, call: WorkflowCall): void;
  /** Arrivals that nobody took. */
  unread(): { readonly name: string; readonly value: ProgramValue }[];
}

export function createMailboxes(): Mailboxes {
  const boxes = new Map<string, { arrived: ProgramValue[]; waiting: WorkflowCall[] }>();
  const boxOf = (name: string) => {
    const found = boxes.get(name) ?? { arrived: [], waiting: [] };
    boxes.set(name, found);
    return found;
  };
  const take = (call: WorkflowCall, value: ProgramValue): void => {
    call.state = "settled";
    call.outcome = { outcome: "succeeded", value };
  };
  return {
    arrive(name, value) {
      const box = boxOf(name);
      for (let call = box.waiting.shift(); call !== undefined; call = box.waiting.shift()) {
        if (call.state !== "open") continue;
        take(call, value);
        return call;
      }
      box.arrived.push(value);
      return null;
    },
    keep: (name, value) => void boxOf(name).arrived.push(value),
    wait(name, call) {
      const box = boxOf(name);
      const value = box.arrived.shift();
      if (value === undefined) box.waiting.push(call);
      else take(call, value);
    },
    unread: () => [...boxes].flatMap(([name, { arrived }]) => arrived.map((value) => ({ name, value }))),
  };
}
