import { createConnection, createServer, type Socket } from "node:net";

/** A line between agents and one coordinator, which a test can cut, or let fall silent. */
export interface CutProxy {
  readonly port: number;
  readonly url: string;
  /** Where new connections go. */
  target: number;
  /** Ends every connection, and refuses new ones for so long. */
  cut(forMs: number): void;
  /** Passes nothing on for so long, and then all of it: a half-open line. */
  stall(forMs: number): void;
  close(): Promise<void>;
}

export async function startCutProxy(target: number): Promise<CutProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  let closedUntilMs = 0;
  let stalledUntilMs = 0;
  const stallNow = ([near, far]: readonly [Socket, Socket]) => {
    const leftMs = stalledUntilMs - performance.now();
    if (leftMs <= 0) return;
    near.pause();
    far.pause();
    setTimeout(() => {
      near.resume();
      far.resume();
    }, leftMs).unref();
  };
  const server = createServer((near) => {
    near.on("error", () => near.destroy());
    if (performance.now() < closedUntilMs) {
      near.destroy();
      return;
    }
    const far = createConnection({ port: proxy.target, host: "127.0.0.1" });
    const pair = [near, far] as const;
    pairs.add(pair);
    far.on("error", () => far.destroy());
    near.on("close", () => far.destroy());
    far.on("close", () => {
      near.destroy();
      pairs.delete(pair);
    });
    near.pipe(far);
    far.pipe(near);
    stallNow(pair);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const proxy: CutProxy = {
    port,
    url: `http://127.0.0.1:${port}`,
    target,
    cut(forMs) {
      closedUntilMs = performance.now() + forMs;
      for (const [near, far] of pairs) {
        near.destroy();
        far.destroy();
      }
    },
    stall(forMs) {
      stalledUntilMs = performance.now() + forMs;
      for (const pair of pairs) stallNow(pair);
    },
    async close() {
      proxy.cut(0);
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
