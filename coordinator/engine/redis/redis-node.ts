import { Command, type Redis } from "ioredis";
import type { Script } from "./scripts/script.ts";

export type Reply = string | number | null | readonly Reply[];

/**
 * One server, on one connection. Whom it is connected to is asked anew on each connection, before anything else is sent:
 * a commit tells it, so that the partition knows when another server, or one that began anew, has taken over (C16).
 */
export class RedisNode {
  readonly redis: Redis;
  /** Run id and replication id; null until it is known on this connection. */
  #server: string | null = null;
  #asking: Promise<string> | null = null;
  #corked = false;
  readonly #onServer: (server: string) => void;

  constructor(redis: Redis, onServer: (server: string) => void) {
    this.redis = redis;
    this.#onServer = onServer;
    redis.on("close", () => {
      this.#server = null;
      this.#asking = null;
    });
  }

  get server(): string | Promise<string> {
    if (this.#server !== null) return this.#server;
    this.#asking ??= this.#ask();
    return this.#asking;
  }

  /** Whether it is still the server that it was: a replica may have been promoted on an open connection. */
  async check(): Promise<void> {
    const before = this.#server;
    const now = await this.#readServer();
    if (before === null || this.#server !== before || now === before) return;
    this.#server = now;
    this.#onServer(now);
  }

  async #ask(): Promise<string> {
    const asking = this.#readServer();
    try {
      const server = await asking;
      this.#server = server;
      this.#onServer(server);
      return server;
    } catch (error) {
      this.#asking = null;
      throw error;
    }
  }

  async #readServer(): Promise<string> {
    const [server, replication] = await Promise.all([
      this.send("info", ["server"]),
      this.send("info", ["replication"]),
    ]);
    const field = (text: Reply, name: string) => new RegExp(`^${name}:(\\w+)`, "m").exec(String(text))?.[1] ?? "";
    return `${field(server, "run_id")}/${field(replication, "master_replid")}`;
  }

  /** Sent at once or refused: nothing waits here for a connection, and nothing is sent twice. */
  send(name: string, args: readonly string[]): Promise<Reply> {
    const command = new Command(name, args as string[], { replyEncoding: "utf8" });
    this.#cork();
    this.redis.sendCommand(command);
    return command.promise as Promise<Reply>;
  }

  /** A script that is not known there was not executed: it is sent whole, once. */
  async run(script: Script, keys: readonly string[], args: readonly string[]): Promise<Reply> {
    const operands = [String(keys.length), ...keys, ...args];
    try {
      return await this.send("evalsha", [script.sha, ...operands]);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
      return await this.send("eval", [script.source, ...operands]);
    }
  }

  /** What is sent in one turn leaves in one write. */
  #cork(): void {
    const { stream } = this.redis;
    if (this.#corked || !stream) return;
    this.#corked = true;
    stream.cork();
    queueMicrotask(() => {
      this.#corked = false;
      stream.uncork();
    });
  }
}
