import type { AgentId } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { Machine } from "./ports.ts";

type Say = (fields: object, message: string) => void;

/** What the agent writes its own log to; a pino logger fits. */
export interface Logger {
  readonly debug: Say;
  readonly info: Say;
  readonly warn: Say;
  readonly error: Say;
}

export interface AgentOptions {
  /** The coordinator's address, such as `http://127.0.0.1:7420`, or those of several over the same stores, by comma. */
  readonly url: string;
  readonly token: string;
  /** Shown to people. Default: the host's name. */
  readonly name?: string;
  /** Default `default`. */
  readonly pool?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Tasks executed at once. Default: the number of cores. */
  readonly slots?: number;
  /** Workflow tasks held at once. Default: 4 a core. */
  readonly workflowSlots?: number;
  /** Id, binaries, outbox and processes live here. Made with mode 0700 when absent. */
  readonly dataFolder: string;
  /** Default 10 GiB. */
  readonly cacheBytesMax?: number;
  /** Variables that every program gets beside the few that Salt sets. Default: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long `drain` waits for tasks to end before it kills them. Default 30,000 ms. */
  readonly drainMs?: number;
  readonly logger: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly machine?: Machine;
}

/** `dialling` covers every time without a coordinator, the first and later ones. */
export type AgentState = "dialling" | "connected" | "draining" | "closed";

export interface Agent {
  /** Made once, and kept in the data folder. */
  readonly id: AgentId;
  readonly state: AgentState;
  /** Takes no more leases, gives back what has not begun, waits for the rest (at most `drainMs`), says `bye` and closes. */
  drain(): Promise<void>;
  /** Ends at once: programs are killed and their leases left to expire. */
  close(): Promise<void>;
  /** Resolves when the agent has closed; rejects with a `SaltError` when the coordinator refuses it for good. */
  readonly closed: Promise<void>;
}

/** Ports that most of the agent's logic is handed. */
export interface AgentDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}
