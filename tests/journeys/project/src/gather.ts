import { task, workflow, z } from "@salt/sdk";
import { Counted, count } from "./effects.ts";

const retry = { attempts: 50, backoffMs: 20, factor: 1 };
const Piece = z.object({ n: z.number(), text: z.string() });
const Whole = z.object({ pieces: z.number(), sum: z.number(), characters: z.number(), inOrder: z.boolean() });

/** Every thousandth is too large to travel inline. */
export const piece = task(
  { name: "piece", input: Counted.extend({ n: z.number() }), output: Piece, retry },
  async ({ n, ...counted }, context) => {
    count(counted, context.task);
    return { n, text: "x".repeat(n % 1_000 === 0 ? 20_000 : 10) };
  },
);

export const join = task(
  { name: "join", input: Counted.extend({ pieces: z.array(Piece) }), output: Whole, retry },
  async ({ pieces, ...counted }, context) => {
    count(counted, context.task);
    const characters = pieces.reduce((all, { text }) => all + text.length, 0);
    const sum = pieces.reduce((all, { n }) => all + n, 0);
    return { pieces: pieces.length, sum, characters, inOrder: pieces.every(({ n }, index) => n === index) };
  },
);

/** Is given the refs itself, and has them as values. */
export const tally = workflow(
  { name: "tally", input: z.array(Piece), output: z.number() },
  async (pieces) => pieces.length,
);

/** Fans out, and in again by one call that is given all of the refs; a child workflow is given them too. */
export const gather = workflow(
  { name: "gather", input: Counted.extend({ tasks: z.number() }), output: Whole.extend({ tallied: z.number() }) },
  async ({ tasks, ...counted }) => {
    const pieces = Array.from({ length: tasks }, (_, n) => piece({ n, ...counted }));
    const tallied = tally(pieces);
    return { ...(await join({ pieces, ...counted })), tallied: await tallied };
  },
);
