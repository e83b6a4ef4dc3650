/** Stops the process (as an uncaught error) rather than go on with a broken invariant. `mustHold` says what must hold. */
export function assert(condition: unknown, mustHold: string): asserts condition {
  if (!condition) throw new BrokenInvariant(mustHold);
}

export class BrokenInvariant extends Error {
  override name = "BrokenInvariant";
  constructor(mustHold: string) {
    super(`Broken invariant: ${mustHold}.`);
  }
}
