import { join } from "node:path";
import { type Child, startChild } from "../child.ts";
import { cpuMicros } from "../processes.ts";
import type { Order, Report } from "./producer.ts";

/** How BullMQ is set up. */
export interface Setup {
  /** Worker processes. */
  readonly workers: number;
  /** Jobs that each of them has in hand at once. */
  readonly concurrency: number;
}

/** A producer and workers, each a process of its own, as Salt's workflow and tasks are. */
export interface Bullmq {
  readonly setup: Setup;
  /** Carries jobs out, and checks their results. */
  carryOut(order: Order): Promise<Report>;
  /** User and system time of all its processes, in microseconds; that of Redis is not in it. */
  cpuMicros(): number;
  close(): Promise<void>;
}

let queues = 0;

/** `connect` gives each process a port at which Redis answers. */
export async function startBullmq(setup: Setup, connect: () => Promise<number>): Promise<Bullmq> {
  queues += 1;
  const start = async (program: string, ...args: readonly number[]): Promise<Child> =>
    await startChild(join(import.meta.dirname, program), [
      String(await connect()),
      `bench-${queues}`,
      ...args.map(String),
    ]);
  const producer = await start("producer.ts");
  const children = [producer];
  for (let count = 0; count < setup.workers; count += 1) children.push(await start("worker.ts", setup.concurrency));
  return {
    setup,
    async carryOut(order) {
      const report = (await producer.ask(order)) as Report;
      const sum = (order.jobs * (order.jobs - 1)) / 2;
      if (report.sum === sum) return report;
      throw new Error(`BullMQ's results of ${order.jobs} jobs have the sum ${report.sum}, not ${sum}.`);
    },
    cpuMicros: () => children.reduce((all, child) => all + cpuMicros(child.pid), 0),
    async close() {
      for (const child of children.toReversed()) await child.stop();
    },
  };
}
