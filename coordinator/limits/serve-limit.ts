import type { Engine, Key } from "../engine/engine.ts";
import { at, type Draft, type DraftWrite, type Move, type Mover, writing } from "../engine/move.ts";
import {
  holdersIndex,
  type Limit,
  type LimitRow,
  limitMember,
  limitsIndex,
  parseLimit,
  waitersIndex,
} from "../state/limit-records.ts";
import { type GiveSlot, messageWrite } from "../state/messages.ts";

/**
 * C17: a limit, in its own partition. Slots that are held and slots that are waited for are members of two indexes; who
 * has one and who waits is said by them alone, so that moves about different slots touch no common record.
 *
 * S1  A slot is taken in one step: out of the waiters, among the holders, and a message to the task that has it now, while
 *     fewer than its `max` are held. It stays with the task until that says that it has ended, or is found to have.
 * S2  Whoever adds a waiter or takes out a holder ranks the limit among those to be served, in the same commit; so a limit
 *     that has waiters and room is served by whichever coordinator sees it, at the latest in the next sweep.
 * S3  A slot's name is of one asking alone. What comes twice, or late, of one that was freed names a slot that nobody waits
 *     for any more: it is given in vain, and freed by the answer.
 */
export interface LimitDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly partitions: number;
}

/** Slots that one move gives, and of which it looks whether somebody waits. */
const givenPerMoveMax = 32;

/** Ranks a limit among those to be served. Its score is the same for all: they are listed by name. */
const toServe = (limit: Limit, max: number): DraftWrite => {
  const row: LimitRow = { max };
  const index = limitsIndex(limit.partition);
  return { kind: "rank", index, member: limitMember(limit), score: at(0), value: JSON.stringify(row) };
};

const holds = (limit: Limit, slot: string, max: number): DraftWrite => ({
  kind: "rank",
  index: holdersIndex(limit),
  member: slot,
  score: at(0),
  value: String(max),
});

interface OfSlot {
  readonly limit: Limit;
  readonly slot: string;
  readonly max: number;
}

/** A slot is waited for. */
export const addWaiter: Move<OfSlot & { readonly score: number }, void> = {
  name: "addWaiter",
  reads: () => [],
  decide(_view, { limit, slot, max, score }) {
    const index = waitersIndex(limit);
    const waiter = { kind: "rank", index, member: slot, score: at(score), value: String(max) } as const;
    return writing(waiter, toServe(limit, max));
  },
};

/** C16: a slot is held by a task that goes on, whatever the limit has forgotten since. Until it is freed, others wait. */
export const addHolder: Move<OfSlot, void> = {
  name: "addHolder",
  reads: () => [],
  decide(_view, { limit, slot, max }) {
    return writing(holds(limit, slot, max), toServe(limit, max));
  },
};

/** A slot is neither held nor waited for any more. */
export const dropSlot: Move<OfSlot, void> = {
  name: "dropSlot",
  reads: () => [],
  decide: (_view, { limit, slot, max }) =>
    writing(unrank(holdersIndex(limit), slot), unrank(waitersIndex(limit), slot), toServe(limit, max)),
};

const unrank = (index: Key, member: string): DraftWrite => ({ kind: "unrank", index, member });

/** `more`: there may be further ones to give. */
type Given = "more" | "done" | "nobody waits";

/**
 * Gives slots to those whose turn it is, in their order: none is passed over, for each transaction relies on the one
 * before it. When not even the first is to be had, all are held, or another coordinator is giving them.
 */
const giveSlots: Move<Limit, Given> = {
  name: "giveSlots",
  reads: () => [],
  decide(view, limit) {
    if (view.unmet) return { transactions: [], answer: () => "done" };
    const waiters = view.rows(waitersIndex(limit), givenPerMoveMax);
    if (waiters.length === 0) return { transactions: [], answer: () => "nobody waits" };
    const transactions = waiters.map(({ member: slot, value }, index): Draft => {
      const { project, name } = limit;
      const message: GiveSlot = { kind: "giveSlot", project, name, slot, max: Number(value) };
      return {
        checks: [
          { kind: "fewer", index: waitersIndex(limit), than: 0, member: slot },
          { kind: "fewer", index: holdersIndex(limit), than: message.max, member: slot },
        ],
        writes: [
          unrank(waitersIndex(limit), slot),
          holds(limit, slot, message.max),
          messageWrite(limit.partition, `give/${slot}`, message, view.nowMs),
        ],
        ...(index > 0 ? { after: [index - 1] } : {}),
      };
    });
    const isPage = waiters.length === givenPerMoveMax;
    return { transactions, answer: ({ applied }) => (isPage && applied.every(Boolean) ? "more" : "done") };
  },
};

/** Nothing is held or waited for: the limit is listed no more. */
const forgetLimit: Move<Limit, void> = {
  name: "forgetLimit",
  reads: () => [],
  decide(view, limit) {
    if (view.unmet) return { transactions: [], answer: () => undefined };
    const checks = [holdersIndex(limit), waitersIndex(limit)].map(
      (index) => ({ kind: "fewer", index, than: 1 }) as const,
    );
    const writes = [unrank(limitsIndex(limit.partition), limitMember(limit))];
    return { transactions: [{ checks, writes }], answer: () => undefined };
  },
};

/** Gives what can be given under a limit. */
export async function serveLimit({ engine, mover }: LimitDeps, limit: Limit): Promise<void> {
  for (;;) {
    const given = await mover.move(limit.partition, giveSlots, limit);
    if (given === "done") return;
    if (given === "more") continue;
    const { rows } = await engine.range(holdersIndex(limit), { limit: 1 });
    if (rows.length === 0) await mover.move(limit.partition, forgetLimit, limit);
    return;
  }
}

export const serveMember = (deps: LimitDeps, ...[partition, member]: Parameters<typeof parseLimit>): Promise<void> =>
  serveLimit(deps, parseLimit(partition, member));
