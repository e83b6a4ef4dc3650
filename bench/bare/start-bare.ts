import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
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
  const children: ChildProcess[] = [];
  const start = async (program: string): Promise<ChildProcess> => {
    const child = fork(join(import.meta.dirname, program), [folder], { execArgv: [] });
    children.push(child);
    await answerOf(child);
    return child;
  };
  const broker = await start("broker.ts");
  for (let count = 0; count < availableParallelism(); count += 1) await start("worker.ts");
  const producer = await start("producer.ts");
  let rounds = 0;
  return {
    async carryOut(order) {
      const round = `round-${++rounds}`;
      producer.send({ round, ...order });
      const report = (await answerOf(producer)) as Report;
      broker.send({ count: round });
      const { rows } = (await answerOf(broker)) as { rows: number };
      const sum = (order.jobs * (order.jobs - 1)) / 2;
      if (report.sum === sum && rows === order.jobs) return report;
      throw new Error(`The bare peer of ${order.jobs} jobs kept ${rows} rows, and their sum is ${report.sum}.`);
    },
    cpuMicros: () => children.reduce((sum, child) => sum + cpuMicros(child.pid ?? 0), 0),
    async close() {
      for (const child of children) child.disconnect();
      await Promise.all(children.map((child) => child.exitCode ?? once(child, "exit")));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The next message, or an error when the process ends instead. */
async function answerOf(child: ChildProcess): Promise<unknown> {
  const over = new AbortController();
  const { signal } = over;
  try {
    const ended = once(child, "exit", { signal }).then(() => Promise.reject(new Error("The bare peer ended early.")));
    const [message] = (await Promise.race([once(child, "message", { signal }), ended])) as [unknown];
    return message;
  } finally {
    over.abort();
  }
}
