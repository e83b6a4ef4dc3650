import type { Write } from "#coordinator/engine/engine.ts";
import type { TaskRecord } from "#coordinator/records.ts";

/**
 * C17: which tasks hold a slot, as their own records say. A task that is ready, leased, or waits to be tried again is one
 * of them from the commit that made it so to the one that ended it.
 */
export class SlotWatch {
  /** More tasks than a limit allows, seen when they were. */
  readonly violations: string[] = [];
  readonly #holders = new Map<string, Set<string>>();

  note(write: Write): void {
    if (write.kind !== "set" || !write.value.includes('"limit":')) return;
    const name = write.key.slice(write.key.indexOf("}") + 1);
    if (!name.startsWith("task/")) return;
    const { options, slot, state } = JSON.parse(write.value) as TaskRecord;
    if (!options.limit) return;
    const holders = this.#holders.get(options.limit.name) ?? new Set();
    this.#holders.set(options.limit.name, holders);
    if (!slot?.held) {
      if (state === "ready" || state === "delayed") this.violations.push(`${name} is ${state} without a slot`);
      holders.delete(name);
      return;
    }
    holders.add(name);
    if (holders.size <= options.limit.max) return;
    this.violations.push(`${[...holders].join(", ")} hold slots of '${options.limit.name}' at once`);
  }
}
