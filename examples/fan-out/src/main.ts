import { check, task, workflow, z } from "@salt/sdk";
import sections from "../data/constitution.json" with { type: "json" };

const Counts = z.record(z.string(), z.number().int().positive());
type Counts = z.infer<typeof Counts>;

const sum = (counts: Counts): number => Object.values(counts).reduce((total, count) => total + count, 0);

/** Leaf of the tree: the words of one section. The text is inside the binary, so any agent has it. */
export const countWords = task(
  { name: "countWords", input: z.object({ section: z.number().int().min(0) }), output: Counts },
  async ({ section }, { log }) => {
    const found = sections[section];
    if (found === undefined) throw new RangeError(`there is no section ${section}`);
    const counts = new Map<string, number>();
    for (const [word] of found.paragraphs
      .join("\n")
      .toLowerCase()
      .matchAll(/[a-z]+(?:['-][a-z]+)*/g)) {
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
    log(`${found.article}${found.section === null ? "" : `, ${found.section}`}: ${counts.size} different words`);
    return Object.fromEntries(counts);
  },
);

/** Inner node of the tree: whatever came from below, added up. */
export const mergeCounts = task(
  {
    name: "mergeCounts",
    input: z.object({ name: z.string(), parts: z.array(Counts) }),
    output: Counts,
    checks: {
      /** What goes in comes out: a merge that lost a word would fail here, and the run with it. */
      nothingLost: (merged, { parts }) => {
        const expected = parts.reduce((total, part) => total + sum(part), 0);
        return sum(merged) === expected
          ? check.pass(`${expected} words`)
          : check.fail("words were lost", { expected, found: sum(merged) });
      },
    },
  },
  async ({ name, parts }, { log }) => {
    const merged = new Map<string, number>();
    for (const part of parts) {
      for (const [word, count] of Object.entries(part)) merged.set(word, (merged.get(word) ?? 0) + count);
    }
    log(`${name}: ${parts.length} parts, ${merged.size} different words`);
    return Object.fromEntries(merged);
  },
);

const Report = z.object({
  words: z.number(),
  differentWords: z.number(),
  top: z.array(z.object({ word: z.string(), count: z.number() })),
});

export const rankWords = task(
  {
    name: "rankWords",
    input: z.object({ counts: Counts, top: z.number(), minLetters: z.number() }),
    output: Report,
    checks: {
      // A warning lets the run succeed, and is shown with it.
      enoughWords: ({ top }, input) =>
        top.length === input.top ? check.pass() : check.warn(`only ${top.length} words are that long`),
    },
  },
  async ({ counts, top, minLetters }) => {
    const long = Object.entries(counts).filter(([word]) => word.length >= minLetters);
    long.sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1));
    return {
      words: sum(counts),
      differentWords: Object.keys(counts).length,
      top: long.slice(0, top).map(([word, count]) => ({ word, count })),
    };
  },
);

/**
 * A tree of 25 sections, 8 articles and one document. The workflow awaits only the root: every ref below is passed on as
 * it is, so counts go from task to task, and a merge begins as soon as its own parts are there.
 */
export const wordStatistics = workflow(
  {
    name: "wordStatistics",
    description: "The most frequent words of the Constitution of the United States",
    input: z.object({ top: z.number().int().min(1).default(10), minLetters: z.number().int().min(1).default(5) }),
    output: Report,
  },
  async ({ top, minLetters }) => {
    const byArticle = Map.groupBy(sections.keys(), (index) => sections[index]?.article ?? "");
    const articles = [...byArticle].map(([name, indexes]) =>
      mergeCounts({ name, parts: indexes.map((section) => countWords({ section })) }, { key: `merge ${name}` }),
    );
    const whole = mergeCounts({ name: "Constitution", parts: articles });
    return await rankWords({ counts: whole, top, minLetters });
  },
);
