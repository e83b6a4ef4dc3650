import { Cluster, type Redis } from "ioredis";
import type { Clock, Random } from "#shared/ports.ts";
import type { Hint } from "../engine.ts";
import { Hints } from "../hints.ts";
import { createClient } from "./create-client.ts";
import type { Keyspace } from "./keyspace.ts";
import type { RedisAddress } from "./redis-address.ts";

interface HintsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly keyspace: Keyspace;
}

/** How long a commit waits for a subscription before it: hints may be lost, and commits must not be held up. */
const subscribedWithinMs = 1_000;

/**
 * Hints by pub/sub, on a connection of its own, which subscribes again by itself when it was lost. In a cluster a
 * partition's own topic is sharded; any other goes to all nodes.
 */
export class RedisHints {
  readonly #hints = new Hints();
  readonly #client: Redis | Cluster;
  readonly #keyspace: Keyspace;
  readonly #clock: Clock;
  readonly #topics = new Map<string, string>();
  readonly #pending = new Set<Promise<unknown>>();

  constructor(address: RedisAddress, { clock, random, keyspace }: HintsDeps) {
    this.#keyspace = keyspace;
    this.#clock = clock;
    this.#client = createClient(address, { random, use: "hints" });
    // What is wrong is said by the other connection, on which something is asked.
    this.#client.on("error", () => undefined);
    const heard = (channel: string, note: string) => {
      const topic = this.#topics.get(channel);
      if (topic !== undefined) this.#hints.emit([{ topic, note }]);
    };
    this.#client.on("message", heard);
    this.#client.on("smessage", heard);
    // By itself the client makes only those again that were answered before the connection was lost.
    this.#client.on("ready", () => {
      for (const channel of this.#topics.keys()) void Promise.all(this.#ask(channel));
    });
  }

  /** Set until what was asked for is subscribed to, so that what is committed after it is heard; a second at most. */
  get ready(): Promise<unknown> | null {
    return this.#pending.size === 0 ? null : Promise.all(this.#pending);
  }

  listen(topics: readonly string[], signal: AbortSignal): AsyncIterable<Hint> {
    for (const topic of topics) this.#subscribe(topic);
    return this.#hints.listen(topics, signal);
  }

  close(): void {
    this.#hints.close();
    this.#client.disconnect();
  }

  #subscribe(topic: string): void {
    const channel = this.#keyspace.channel(topic);
    if (this.#topics.has(channel)) return;
    this.#topics.set(channel, topic);
    for (const subscribed of this.#ask(channel)) {
      const late = new Promise<void>((resolve) => void this.#clock.after(subscribedWithinMs, resolve));
      const settled: Promise<unknown> = Promise.race([subscribed, late]).finally(() => this.#pending.delete(settled));
      this.#pending.add(settled);
    }
  }

  /** What cannot be subscribed to now is when the connection is there again; until then its hints are lost. */
  #ask(channel: string): Promise<unknown>[] {
    const asked = [this.#client.subscribe(channel)];
    if (this.#client instanceof Cluster) asked.push(this.#client.ssubscribe(channel));
    return asked.map((subscribed) => subscribed.catch(() => undefined));
  }
}
