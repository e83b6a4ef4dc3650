import { afterEach, beforeEach, describe } from "vitest";
import type { Clock } from "#shared/ports.ts";
import { describeChecks } from "./contract/checks.ts";
import { describeClaims } from "./contract/claims.ts";
import { describeCommits } from "./contract/commits.ts";
import { describeHints } from "./contract/hints.ts";
import { describeLeases } from "./contract/leases.ts";
import { describeLimits } from "./contract/limits.ts";
import { describeReads } from "./contract/reads.ts";
import { engine, setSubject } from "./contract/subject.ts";
import { describeTime } from "./contract/time.ts";
import type { Engine } from "./engine.ts";
import { ManualClock } from "./manual-clock.ts";

export type CreateEngine = (deps: { readonly clock: Clock }) => Engine | Promise<Engine>;

/** What every engine must do. `create` gives an empty one; its time is the clock's. */
export function describeEngine(name: string, create: CreateEngine): void {
  describe(`${name} engine`, () => {
    beforeEach(async () => {
      const clock = new ManualClock();
      setSubject({ clock, engine: await create({ clock }) });
    });
    afterEach(async () => {
      await engine.close();
    });

    describe("commits", describeCommits);
    describe("checks", describeChecks);
    describe("time", describeTime);
    describe("indexes and logs", describeReads);
    describe("queues and claims", describeClaims);
    describe("leases", describeLeases);
    describe("hints", describeHints);
    describe("limits", describeLimits);
  });
}
