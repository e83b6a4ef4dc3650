import type { Hint } from "../engine.ts";

/** Drops and repeats hints, as `strikes` has it. */
export async function* failingHints(
  hints: AsyncIterable<Hint>,
  strikes: (kind: "dropHint" | "repeatHint") => boolean,
): AsyncGenerator<Hint> {
  for await (const hint of hints) {
    if (strikes("dropHint")) continue;
    yield hint;
    if (strikes("repeatHint")) yield hint;
  }
}
