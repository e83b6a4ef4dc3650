import type { CoordinatorOptions } from "#coordinator/main.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Cli } from "./cli.ts";
import type { CommandOptions } from "./command.ts";
import { parseDuration } from "./duration.ts";

type Ages = NonNullable<CoordinatorOptions["ages"]>;

/** How long a coordinator keeps things. Each has a variable, `SALT_KEEP_…`; `never` removes nothing of the kind. */
export interface KeepFlag {
  readonly name: string;
  readonly age: keyof Ages;
  readonly what: string;
  readonly defaultMs: number;
  readonly leastMs: number;
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const flag = (name: string, age: keyof Ages, what: string, defaultMs: number, leastMs = 0): KeepFlag => ({
  name,
  age,
  what,
  defaultMs,
  leastMs,
});

export const keepFlags: readonly KeepFlag[] = [
  flag("runs", "runsMs", "a run with all that is of it, from its end", limits.keepRunsMs, minuteMs),
  flag("logs", "logsMs", "what a task wrote, from its end", limits.keepLogsMs),
  flag("events", "eventsMs", "an event and its id", limits.keepEventsMs, limits.keepEventsLeastMs),
  flag("agents", "agentsMs", "an agent, from when it left", limits.keepAgentsMs),
  flag("releases", "releasesMs", "a release that another replaced and no run needs", limits.keepReleasesMs, hourMs),
  flag("audit", "auditMs", "an entry of the audit log", limits.keepAuditMs),
  flag("blobs", "blobsMs", "a blob that nothing refers to", limits.keepBlobsMs, limits.keepBlobsMs),
];

export const variableOf = ({ name }: KeepFlag): string => `SALT_KEEP_${name.toUpperCase()}`;
export const keepText = (ms: number): string =>
  ms % (24 * hourMs) === 0 ? `${ms / (24 * hourMs)}d` : `${ms / hourMs}h`;

/** A flag goes before its variable; an empty variable is none. */
export function readAges(cli: Pick<Cli, "env">, options: CommandOptions): Ages {
  const ages: Partial<Record<keyof Ages, number>> = {};
  for (const keep of keepFlags) {
    const option = options[`keep${keep.name[0]?.toUpperCase()}${keep.name.slice(1)}`];
    const [from, text] =
      option === undefined ? [variableOf(keep), cli.env[variableOf(keep)]] : [`--keep-${keep.name}`, String(option)];
    if (text) ages[keep.age] = parseKeep(keep, from, text);
  }
  return ages;
}

function parseKeep({ leastMs }: KeepFlag, from: string, text: string): number {
  if (text === "never") return Infinity;
  const ms = parseDuration(text);
  if (ms >= leastMs) return ms;
  const least = leastMs < hourMs ? `${leastMs / minuteMs}m` : keepText(leastMs);
  throw new SaltError("BadRequest", `Cannot use ${from} ${text}: it is less than ${least}.`, {
    next: `Give ${least} or more, or never.`,
  });
}
