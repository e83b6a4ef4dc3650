import { describe, expect, test } from "vitest";
import { FakeJournal, FakeWork, happen } from "../testing/fake-journal.ts";
import { randomSteps, seededNumbers } from "../testing/random-program.ts";
import { createVirtualClock } from "../testing/virtual-clock.ts";

const seeds = Number(process.env.SALT_SEEDS ?? 150);
const firstSeed = Number(process.env.SALT_SEED ?? 1);
const stepsMax = 600;

type Numbers = ReturnType<typeof seededNumbers>;

/** A whole history: things happen in random order, the program is cut at random and begun again. */
async function live(numbers: Numbers, input: unknown, journal: FakeJournal): Promise<FakeWork> {
  const clock = createVirtualClock();
  const begin = (): FakeWork => new FakeWork({ clock, journal, replayEnd: journal.entries.length, input });
  let work = begin();
  let safe = 0;
  for (let step = 0; step < stepsMax && work.end === null; step++) {
    if (numbers.chance(0.7)) await clock.rest();
    // The coordinator journals calls in the order in which they were sent, some later than others.
    const until = numbers.chance(0.6) ? work.sent.length : safe + numbers.below(work.sent.length - safe + 1);
    for (; safe < until; safe++) journal.call(work.sent[safe] as never);
    if (numbers.chance(0.6)) happen(journal, numbers, { cancel: true });
    if (numbers.chance(0.7)) work.give(1 + numbers.below(6));
    if (numbers.chance(0.5) && work.asked.length > 0) work.giveValues();
    if (numbers.chance(0.05)) {
      work.cut();
      work = begin();
      safe = 0;
    }
  }
  // Whatever is under way still arrives, but nothing further happens.
  for (let before = -1; before !== journal.entries.length + work.given; ) {
    before = journal.entries.length + work.given;
    await clock.rest();
    for (; safe < work.sent.length; safe++) journal.call(work.sent[safe] as never);
    work.give(journal.entries.length);
    await clock.rest();
    if (work.asked.length > 0) work.giveValues();
  }
  work.cut();
  return work;
}

/** How the work ended, apart from what another attempt may differ in. */
function endOf({ end }: FakeWork): unknown {
  if (end?.t !== "fail") return end === null ? null : { ...end, given: 0 };
  const { type, message } = end.failure;
  return { t: end.t, type, message };
}

/** The journal again up to `cut` as a replay, then entry by entry as if live. */
async function again(input: unknown, journal: FakeJournal, cut: number): Promise<FakeWork> {
  const clock = createVirtualClock();
  const work = new FakeWork({ clock, journal, replayEnd: cut, input });
  work.give(cut);
  await clock.rest();
  while (work.end === null && (work.given < journal.entries.length || work.asked.length > 0)) {
    if (work.asked.length > 0) work.giveValues();
    else work.give(1);
    await clock.rest();
  }
  work.cut();
  return work;
}

describe("replay", () => {
  test.each(Array.from({ length: seeds }, (_, index) => firstSeed + index))(
    "C21 a generated workflow, cut anywhere and replayed, makes the same calls and ends the same (seed %i)",
    async (seed) => {
      const numbers = seededNumbers(seed);
      const input = randomSteps(numbers);
      const journal = new FakeJournal();
      const first = await live(numbers, input, journal);
      if (first.end?.t === "fail") expect(first.end.failure).toMatchObject({ type: "CancelledError" });

      const length = journal.entries.length;
      for (const cut of [0, length, numbers.below(length + 1), numbers.below(length + 1)]) {
        const replayed = await again(input, journal, cut);
        expect(endOf(replayed), `cut at ${cut}`).toEqual(endOf(first));
        // Whatever it calls is journaled already, under the same key with the same arguments: nothing executes twice.
        for (const call of replayed.sent) {
          const journaled = journal.calls.get(call.key)?.call;
          expect(call.digest).toBe(journaled?.digest);
        }
        if (cut === length) expect(replayed.sent).toEqual([]);
      }
    },
  );
});
