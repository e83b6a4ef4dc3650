import { expect, test } from "vitest";
import { partitionAt } from "#shared/domain/ids.ts";
import type { Lease } from "#shared/protocol/agent.ts";
import { systemClock } from "#shared/system.ts";
import { FakeAgent, taskCall } from "../../tests/support/fake-agent.ts";
import { connect, meddle, pause, start, until } from "../../tests/support/history-steps.ts";
import { leasesIndex } from "../engine/engine.ts";
import { createMemoryEngine } from "../engine/memory/memory-engine.ts";

const agents = 500;
const idOf = (digit: number) => `agt_${String(digit).padStart(26, "0")}`;

test("A26 a herd of agents that comes back loses no lease, and does not look through all leases once for each", async () => {
  const memory = createMemoryEngine({ clock: systemClock });
  let looks = 0;
  const range: typeof memory.range = (index, query) => {
    if (index === leasesIndex(partitionAt(0)) && query.limit === 1_000) looks += 1;
    return memory.range(index, query);
  };
  const engine = meddle(memory, { range });
  const before = await start({ engine });
  const workflow = await connect(before, 0, 1, 9);
  await before.open();
  const keys = Array.from({ length: agents }, (_, index) => taskCall(`work#${index + 1}`));
  workflow.calls(await workflow.lease(), keys);
  const held: Lease[] = [];
  for (let digit = 0; digit < agents; digit += 1) {
    const agent = new FakeAgent(idOf(digit + 1_000));
    before.fleet.accept(agent.socket);
    agent.hello();
    await agent.next("welcome");
    agent.credit(1, 0);
    held.push(await agent.lease());
  }
  before.close();

  const after = await start({ engine });
  looks = 0;
  const herd = held.map((lease, index) => {
    const agent = new FakeAgent(idOf(index + 1_000));
    after.fleet.accept(agent.socket);
    agent.hello({ leases: [{ task: lease.task, fence: lease.fence }] });
    return agent.next("welcome");
  });
  const welcomes = await Promise.all(herd);
  expect(welcomes.flatMap(({ leases }) => leases).filter(({ verdict }) => verdict === "keep")).toHaveLength(agents);
  await until(() => looks > 0);
  await pause(100);
  expect(looks).toBeLessThan(agents / 10);
});
