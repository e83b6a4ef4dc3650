import fc from "fast-check";
import { expect, test } from "vitest";
import type { Sha256 } from "#shared/domain/ids.ts";
import { Recency } from "./recency.ts";

const digests = ["a", "b", "c", "d", "e", "f"] as Sha256[];
const digest = fc.constantFrom(...digests);
const step = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), digest, bytes: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ kind: fc.constantFrom("pin" as const, "unpin" as const, "remove" as const), digest }),
);

/** The plainest cache that could be: a list from least to most recently used. */
class Model {
  list: { digest: Sha256; bytes: number; pins: number }[] = [];
  readonly max: number;
  constructor(max: number) {
    this.max = max;
  }
  used() {
    return this.list.reduce((sum, entry) => sum + entry.bytes, 0);
  }
  touch(digest: Sha256) {
    const entry = this.list.find((one) => one.digest === digest);
    if (entry !== undefined) this.list = [...this.list.filter((one) => one !== entry), entry];
    return entry;
  }
  makeRoom(bytes: number): Sha256[] | null {
    const given: Sha256[] = [];
    let free = this.max - this.used();
    for (const entry of this.list) {
      if (free >= bytes) break;
      if (entry.pins > 0) continue;
      free += entry.bytes;
      given.push(entry.digest);
    }
    if (free < bytes) return null;
    this.list = this.list.filter((entry) => !given.includes(entry.digest));
    return given;
  }
}

test("A37 what is given up, and in which order, is as in a plain model, and nothing in use is ever given up", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const recency = new Recency(100);
      const model = new Model(100);
      for (const one of steps) {
        if (one.kind === "add") {
          const pinned = model.list.filter((entry) => entry.pins > 0).map((entry) => entry.digest);
          const given = recency.makeRoom(one.bytes);
          expect(given).toEqual(model.makeRoom(one.bytes));
          for (const gone of given ?? []) expect(pinned).not.toContain(gone);
          if (given === null) continue;
          recency.add(one.digest, one.bytes);
          model.list = model.list.filter((entry) => entry.digest !== one.digest);
          model.list.push({ digest: one.digest, bytes: one.bytes, pins: 0 });
        } else if (one.kind === "remove") {
          recency.remove(one.digest);
          model.list = model.list.filter((entry) => entry.digest !== one.digest);
        } else {
          recency[one.kind](one.digest);
          const entry = model.touch(one.digest);
          if (entry !== undefined) entry.pins = Math.max(0, entry.pins + (one.kind === "pin" ? 1 : -1));
        }
        expect(recency.digests()).toEqual(model.list.map((entry) => entry.digest).reverse());
        expect(recency.bytes).toBe(model.used());
        expect(recency.bytes).toBeLessThanOrEqual(100);
      }
    }),
  );
});
