/** Drops and repeats hints, as `strikes` has it. */
export async function* failingHints(
  hints: AsyncIterable<string>,
  strikes: (kind: "dropHint" | "repeatHint") => boolean,
): AsyncGenerator<string> {
  for await (const topic of hints) {
    if (strikes("dropHint")) continue;
    yield topic;
    if (strikes("repeatHint")) yield topic;
  }
}
