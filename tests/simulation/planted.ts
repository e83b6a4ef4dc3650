/** A fault that is put into the sources as they are loaded: what the simulation has to find (C29). */
export interface Plant {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export const plants: Readonly<Record<string, Plant>> = {
  "no fence check": {
    file: "coordinator/settle/settle-report.ts",
    from: "if (!task || fence !== String(report.fence)) return",
    to: "if (!task || fence === null) return",
  },
  "counted versions": {
    file: "coordinator/engine/batch.ts",
    from: "const stamp = this.#deps.nextStamp();",
    to: `const known = this.#overlay.get(write.key) ?? this.#loaded.get(write.key) ?? this.#deps.cache.get(write.key);
        const stamp = "v" + (1 + Number(known?.stamp?.slice(1) ?? 0));`,
  },
  "read then park": {
    file: "coordinator/runs/park-run.ts",
    from: 'checks: [{ kind: "end", log: journalLog(runId), position: given }],',
    to: "checks: [],",
  },
  "no grant acceptance": {
    file: "coordinator/fleet/matching.ts",
    from: "holdMs: limits.grantHoldMs",
    to: "holdMs: 86_400_000",
  },
  "delivery in call order": {
    file: "sdk/typescript/workflow/entry-queue.ts",
    from: "entries.push(entry);",
    to: `let place = entries.length;
      const isBehind = (other) => entry.e === "settled" && other?.e === "settled" && other.key > entry.key;
      while (place > next && isBehind(entries[place - 1])) place -= 1;
      entries.splice(place, 0, entry);`,
  },
  "delta credit": {
    file: "coordinator/fleet/session.ts",
    from: "this.#credit.workflow = workflows;",
    to: "this.#credit.workflow += workflows;",
  },
};
