import { SaltError } from "#shared/domain/errors.ts";

/** What each call of an engine that was closed is refused with. */
export const closedError = (attempted: string): SaltError =>
  new SaltError("Unavailable", `Cannot ${attempted}: the engine is closed.`, { next: "Start the coordinator again." });
