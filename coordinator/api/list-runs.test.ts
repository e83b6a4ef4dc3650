import { expect, it } from "vitest";
import { type Partition, partitionAt } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Write } from "../engine/engine.ts";
import { runsIndex } from "../records.ts";
import { call, createStand, register } from "./api-stand.ts";

it("A list of runs with a filter looks at no more than a bound a request, and its cursor goes on from there", async () => {
  const stand = await createStand();
  await register(stand);
  const opened = await call(stand, "POST", "/v1/runs", { json: { project: "shop", workflow: "any" } });
  await rankNewer(stand, partitionAt(0), 2 * limits.runsLookedAtMax + 10);
  let looked = 0;
  const range = stand.engine.range.bind(stand.engine);
  stand.engine.range = async (index, query) => {
    const found = await range(index, query);
    looked += found.rows.length;
    return found;
  };
  for (const filter of ["status=queued", "workflow=any"]) {
    let cursor = "";
    const pages: number[] = [];
    for (let page = 0; page < 3; page += 1) {
      looked = 0;
      const { body } = await call(stand, "GET", `/v1/runs?limit=10&${filter}${cursor}`);
      expect(looked, filter).toBeLessThanOrEqual(limits.runsLookedAtMax);
      pages.push(body.rows.length);
      if (page === 2) expect([body.rows[0].id, body.cursor], filter).toEqual([opened.body.id, null]);
      else cursor = `&cursor=${encodeURIComponent(body.cursor)}`;
    }
    expect(pages, filter).toEqual([0, 0, 1]);
  }
});

/** Runs of which only the index knows: none of them passes a filter. */
async function rankNewer(stand: Awaited<ReturnType<typeof createStand>>, partition: Partition, count: number) {
  const { nowMs } = await stand.engine.get([]);
  const index = runsIndex(partition);
  const writes = Array.from({ length: count }, (_, n): Write => {
    const member = `run_${String(n).padStart(28, "0")}`;
    return { kind: "rank", index, member, score: { at: nowMs + 1 + n }, value: "other/other" };
  });
  for (let at = 0; at < count; at += 200) {
    await stand.engine.commit(partition, [{ checks: [], writes: writes.slice(at, at + 200) }]);
  }
}
