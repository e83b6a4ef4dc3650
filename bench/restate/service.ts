/**
 * Restate's side of the benchmark's workflows, in a process of its own; it says `{port}` to its parent. A durable step is
 * `ctx.run`: the function runs in this process, and its result is in Restate's log before it is given.
 */
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import * as restate from "@restatedev/restate-sdk";
import { serveParent } from "../child.ts";

const noop = (n: number): number => n;

const bench = restate.service({
  name: "bench",
  handlers: {
    one: (ctx: restate.Context, n: number) => ctx.run("noop", () => noop(n)),
    fanOut: async (ctx: restate.Context, { steps }: { steps: number }) => {
      const outputs = await restate.RestatePromise.all(
        Array.from({ length: steps }, (_, n) => ctx.run("noop", () => noop(n))),
      );
      return outputs.reduce((sum, n) => sum + n, 0);
    },
    chain: async (ctx: restate.Context, { steps }: { steps: number }) => {
      const timesMs: number[] = [];
      for (let n = 0; n < steps; n += 1) {
        const startMs = performance.now();
        await ctx.run("noop", () => noop(n));
        timesMs.push(performance.now() - startMs);
      }
      return timesMs;
    },
  },
});

export type Bench = typeof bench;

const server = createServer(restate.createEndpointHandler({ services: [bench], logger: () => undefined }));
server.listen(0, "127.0.0.1", () => serveParent(() => ({}), { port: (server.address() as AddressInfo).port }));
