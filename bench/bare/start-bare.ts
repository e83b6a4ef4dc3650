import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { type Child, startChild } from "../child.ts";
import { cpuMicros } from "../processes.ts";
import type { Order, Report } from "./producer.ts";

/**
 * The floor: the same number of no-op jobs through as many Node processes as Salt has, over Unix sockets with NDJSON,
 * and one durable sqlite row a job, committed in batches. What Salt needs beyond it is what its promises cost.
 */
export interface Bare {
  /** Carries jobs out, and checks that each was delivered once and left its row. */
  carryOut(order: Omit<Order, "round">): Promise<Report>;
  /** User and system time of all its processes, in microseconds. */
  cpuMicros(): number;
  close(): Promise<void>;
}

export async function startBare(): Promise<Bare> {
  const folder = await mkdtemp(join(tmpdir(), "salt-bare-"));
  const children: Child[] = [];
  const start = async (program: string): Promise<Child> => {
    const child = await startChild(join(import.meta.dirname, program), [folder]);
    children.push(child);
    return child;
  };
  const broker = await start("broker.ts");
  for (let count = 0; count < availableParallelism(); count += 1) await start("worker.ts");
  const producer = await start("producer.ts");
  let rounds = 0;
  return {
    async carryOut(order) {
      const round = `round-${++rounds}`;
      const report = (await producer.ask({ round, ...order })) as Report;
      const { rows } = (await broker.ask({ count: round })) as { rows: number };
      const sum = (order.jobs * (order.jobs - 1)) / 2;
      if (report.sum === sum && rows === order.jobs) return report;
      throw new Error(`The bare peer of ${order.jobs} jobs kept ${rows} rows, and their sum is ${report.sum}.`);
    },
    cpuMicros: () => children.reduce((sum, child) => sum + cpuMicros(child.pid), 0),
    async close() {
      await Promise.all(children.map((child) => child.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
