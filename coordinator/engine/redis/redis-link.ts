import { Cluster, type Redis } from "ioredis";
import type { Partition } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import { closedError } from "../closed-error.ts";
import { createClient } from "./create-client.ts";
import { slotOf } from "./keyspace.ts";
import { describeAddress, type RedisAddress } from "./redis-address.ts";
import { isRefusedForGood, nextToConnect, toSaltError } from "./redis-error.ts";
import { RedisNode, type Reply } from "./redis-node.ts";

export interface LinkDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Another server answers than before: it may have forgotten what was acknowledged. */
  readonly onFailover?: () => void;
}

/** How long the first connection is tried. */
const connectWithinMs = 10_000;
/** How often a server is asked whether it is still the one that it was. */
const checkEveryMs = 5_000;
/** How often a command is sent to where the cluster says that the slot has moved to. */
const movesMax = 5;

/** The connections over which an engine asks: one, or in a cluster one to each master. */
export class RedisLink {
  readonly address: RedisAddress;
  readonly #deps: LinkDeps;
  readonly #client: Redis | Cluster;
  readonly #nodes = new WeakMap<Redis, RedisNode>();
  readonly #slots = new Map<Partition, number>();
  readonly #servers = new Map<string, string>();
  #lastError: Error | null = null;
  #closed = false;

  constructor(address: RedisAddress, deps: LinkDeps) {
    this.address = address;
    this.#deps = deps;
    this.#client = createClient(address, { random: deps.random, use: "commands" });
    this.#client.on("error", (error: Error) => {
      this.#lastError = reasonOf(error);
    });
    this.#client.on("ready", () => {
      this.#lastError = null;
    });
    this.#checkLater();
  }

  /** `Unavailable` when there is no connection within 10 s, or when it is refused for good. */
  async connect(): Promise<void> {
    if (this.#client.status === "ready") return;
    try {
      await new Promise<void>((resolve, reject) => {
        const fail = () => reject(this.#lastError ?? new Error("no answer"));
        const timer = this.#deps.clock.after(connectWithinMs, fail);
        const settle = (act: () => void) => {
          timer.cancel();
          this.#client.off("ready", ready);
          this.#client.off("error", refused);
          act();
        };
        const ready = () => settle(resolve);
        const refused = (error: Error) => {
          const reason = reasonOf(error);
          if (isRefusedForGood(reason)) settle(() => reject(reason));
        };
        this.#client.on("ready", ready);
        this.#client.on("error", refused);
      });
    } catch (error) {
      this.#client.disconnect();
      throw this.explain(error, "connect", nextToConnect(this.#lastError));
    }
  }

  /** What `act` asks of the node that has the partition; errors are operating errors. */
  async use(partition: Partition, attempted: string, act: (node: RedisNode) => Promise<Reply>): Promise<Reply> {
    if (this.#closed) throw closedError(attempted);
    try {
      for (let moves = 0; ; moves++) {
        try {
          return await act(this.#nodeOf(partition));
        } catch (error) {
          const moved = error instanceof Error && error.message.startsWith("MOVED") && moves < movesMax;
          if (!moved || !(this.#client instanceof Cluster)) throw error;
          await this.#refreshSlots(this.#client);
        }
      }
    } catch (error) {
      throw this.explain(error, attempted);
    }
  }

  /** The servers that have partitions. */
  masters(): Redis[] {
    return this.#client instanceof Cluster ? this.#client.nodes("master") : [this.#client];
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // What is under way is answered first; where nobody answers, it is not waited for.
    if (this.#client.status === "ready") await this.#client.quit().catch(() => undefined);
    this.#client.disconnect();
  }

  #nodeOf(partition: Partition): RedisNode {
    const redis = this.#client instanceof Cluster ? this.#masterOf(this.#client, partition) : this.#client;
    const known = this.#nodes.get(redis);
    if (known !== undefined) return known;
    const { host, port } = redis.options;
    const node = new RedisNode(redis, (server) => this.#heard(`${host}:${port}`, server));
    this.#nodes.set(redis, node);
    return node;
  }

  #masterOf(cluster: Cluster, partition: Partition): Redis {
    let slot = this.#slots.get(partition);
    if (slot === undefined) {
      slot = slotOf(partition);
      this.#slots.set(partition, slot);
    }
    const place = cluster.slots[slot]?.[0];
    const master = cluster.nodes("all").find(({ options }) => `${options.host}:${options.port}` === place);
    if (master === undefined) throw new Error("CLUSTERDOWN no node is known for the slot");
    return master;
  }

  #refreshSlots(cluster: Cluster): Promise<void> {
    return new Promise((resolve) => cluster.refreshSlotsCache(() => resolve()));
  }

  #heard(place: string, server: string): void {
    const before = this.#servers.get(place);
    this.#servers.set(place, server);
    if (before !== undefined && before !== server) this.#deps.onFailover?.();
  }

  #checkLater(): void {
    this.#deps.clock.after(checkEveryMs, () => {
      if (this.#closed) return;
      for (const redis of this.masters()) {
        // A server that does not answer is found so by what is asked of it.
        if (redis.status === "ready")
          void this.#nodes
            .get(redis)
            ?.check()
            .catch(() => undefined);
      }
      this.#checkLater();
    });
  }

  /** What was thrown while something was asked of its servers, as an operating error. */
  explain(error: unknown, attempted: string, next?: string): unknown {
    const where = describeAddress(this.address);
    return toSaltError(error, { attempted, where, cause: this.#lastError, ...(next !== undefined && { next }) });
  }
}

/** A cluster's client says of its nodes that none answered as one, and in the error's own field why. */
function reasonOf(error: Error & { readonly lastNodeError?: Error }): Error {
  return error.lastNodeError ?? error;
}
