import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { Logger } from "../options.ts";
import { StoreFailure } from "./store-requests.ts";

/** So often a store that is busy is asked itself: all agents at once would be too much for the coordinator. */
const busyTriesMax = 4;

/** Whether bytes go straight to the store. When that fails they do not, for a while, so that not each of them waits in vain. */
export interface Shortcut {
  isOpen(): boolean;
  close(): void;
  /** Returns when the bytes are to go through the coordinator instead; throws when the store is to be asked again. */
  failed(error: unknown, tries: number): void;
}

export function createShortcut(deps: { readonly clock: Clock; readonly logger?: Pick<Logger, "warn"> }): Shortcut {
  let openAtMs = Number.NEGATIVE_INFINITY;
  const close = () => {
    openAtMs = deps.clock.monotonicMs() + limits.directPauseMs;
  };
  return {
    isOpen: () => deps.clock.monotonicMs() >= openAtMs,
    close,
    failed(error, tries) {
      if (error instanceof StoreFailure && error.busy) {
        if (tries >= busyTriesMax) return;
        throw new SaltError("Unavailable", "The blob store asks to slow down.", { cause: error });
      }
      // The coordinator knows better whether it is anywhere.
      if (error instanceof StoreFailure && error.absent) return;
      close();
      const reason = (error as Error).message;
      deps.logger?.warn({ reason }, "The blob store cannot be used directly: bytes go through the coordinator");
    },
  };
}
