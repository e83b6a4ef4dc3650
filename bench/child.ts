import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { throwIfStopped } from "./server-process.ts";

/** A program of a benchmark, in a process of its own: it says that it is ready, then answers each message with one. */
export interface Child {
  readonly pid: number;
  /** What it said when it was ready. */
  readonly greeting: unknown;
  /** One question at a time. Rejects when the process ends instead of answering, and when it answers with `{error}`. */
  ask(message: object): Promise<unknown>;
  /** Takes its channel away, upon which it ends itself. */
  stop(): Promise<void>;
}

export async function startChild(file: string, args: readonly string[] = []): Promise<Child> {
  throwIfStopped();
  const child = fork(file, [...args], { execArgv: [] });
  const greeting = await answerOf(child, file);
  return {
    pid: child.pid ?? 0,
    greeting,
    ask(message) {
      child.send(message);
      return answerOf(child, file);
    },
    async stop() {
      if (child.connected) child.disconnect();
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    },
  };
}

/** The next message, or an error when the process ends instead. */
async function answerOf(child: ChildProcess, file: string): Promise<unknown> {
  const over = new AbortController();
  const { signal } = over;
  try {
    const ended = once(child, "exit", { signal }).then(() => Promise.reject(new Error(`${file} ended early.`)));
    const [message] = (await Promise.race([once(child, "message", { signal }), ended])) as [unknown];
    if (message !== null && typeof message === "object" && "error" in message) throw new Error(String(message.error));
    return message;
  } finally {
    over.abort();
  }
}

/** The other side of `startChild`: says that this process is ready, answers, and ends it when nobody asks any more. */
export function serveParent(answer: (message: never) => unknown, greeting: unknown = { ready: true }): void {
  process.on("message", async (message) => {
    try {
      process.send?.(await answer(message as never));
    } catch (error) {
      process.send?.({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on("disconnect", () => process.exit(0));
  process.send?.(greeting);
}
