import { createConnection, createServer, type Socket } from "node:net";

/** A line between an agent and its coordinator, on which a test hears what the agent asks for. */
export interface HeardLine {
  readonly url: string;
  /** How often the agent has asked for a path by GET. */
  gets(path: string): number;
  close(): Promise<void>;
}

export async function startHeardLine(target: string): Promise<HeardLine> {
  const sockets = new Set<Socket>();
  const heard: string[] = [];
  const server = createServer((near) => {
    const far = createConnection({ port: Number(new URL(target).port), host: "127.0.0.1" });
    const index = heard.push("") - 1;
    near.on("data", (bytes) => {
      heard[index] += bytes.toString("latin1");
    });
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        other.destroy();
        sockets.delete(one);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    gets: (path) => heard.reduce((total, text) => total + text.split(`GET ${path}`).length - 1, 0),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
