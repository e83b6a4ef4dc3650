import { arch, availableParallelism, hostname, platform } from "node:os";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { labelsSchema, nameSchema, type Platform, platformSchema } from "#shared/protocol/common.ts";
import type { AgentOptions } from "./options.ts";

export interface Settings {
  readonly name: string;
  readonly pool: string;
  readonly labels: Record<string, string>;
  readonly platform: Platform;
  readonly slots: number;
  readonly workflowSlots: number;
}

interface Read<T> {
  readonly success: boolean;
  readonly data?: T | undefined;
  readonly error?: { readonly message: string } | undefined;
}

/** What an agent says of itself, checked. `BadRequest` names the option that cannot be used. */
export function readSettings(options: AgentOptions): Settings {
  const cores = availableParallelism();
  return {
    name: (options.name ?? hostname()).slice(0, limits.nameCharsMax) || "agent",
    pool: checked("pool", nameSchema.safeParse(options.pool ?? "default")),
    labels: checked("labels", labelsSchema.safeParse(options.labels ?? {})),
    platform: checked("platform", platformSchema.safeParse(`${platform()}-${arch()}`)),
    slots: count("slots", options.slots ?? cores),
    workflowSlots: count("workflowSlots", options.workflowSlots ?? cores * limits.workflowSlotsPerCore),
  };
}

function checked<T>(what: string, read: Read<T>): T {
  if (read.success && read.data !== undefined) return read.data;
  throw new SaltError("BadRequest", `Cannot start the agent: its ${what} is not valid: ${read.error?.message}`);
}

function count(what: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 1_000) return value;
  throw new SaltError(
    "BadRequest",
    `Cannot start the agent: ${what} is ${value}, it must be a whole number from 0 to 1,000.`,
  );
}
