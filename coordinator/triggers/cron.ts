import { Cron } from "croner";
import { SaltError } from "#shared/domain/errors.ts";

/**
 * Occasions of cron expressions (five fields, or six with seconds first) in a time zone, computed by croner; firing is
 * Salt's own. Where clocks are put forward, a fixed time in the gap occurs right after it; where they are put back, it
 * occurs once. Expressions with wildcards or steps occur by real time on both days.
 */
export interface CronRule {
  readonly cron: string;
  readonly timezone: string;
}

const dayMs = 24 * 3600_000;
const cached = new Map<string, Cron>();
const cachedMax = 1_000;

function compile({ cron, timezone }: CronRule): Cron {
  const key = `${timezone} ${cron}`;
  const known = cached.get(key);
  if (known) return known;
  const compiled = new Cron(cron, { timezone, mode: "5-or-6-parts", paused: true });
  if (cached.size >= cachedMax) cached.clear();
  cached.set(key, compiled);
  return compiled;
}

/** The first occasion after a time, or null when there is none any more. */
export const nextOccasion = (rule: CronRule, afterMs: number): number | null =>
  compile(rule).nextRun(new Date(afterMs))?.getTime() ?? null;

/** The last occasion at or before a time, but none before `fromMs`, which is one. */
export function latestOccasion(rule: CronRule, fromMs: number, nowMs: number): number {
  const [previous] = compile(rule).previousRuns(1, new Date(Math.floor(nowMs / 1000) * 1000 + 1000));
  const previousMs = previous?.getTime() ?? fromMs;
  return previousMs <= nowMs && previousMs > fromMs ? previousMs : fromMs;
}

/** `InvalidManifest` naming what is wrong: the time zone, the expression, or that it never occurs. */
export function checkCron(trigger: string, rule: CronRule, nowMs: number): void {
  if (!isTimeZone(rule.timezone)) {
    throw refuse(trigger, `'${rule.timezone}' is not a time zone`, "Use a name such as 'Europe/Berlin' or 'UTC'.");
  }
  let next: number | null;
  try {
    next = nextOccasion(rule, nowMs);
  } catch (error) {
    const why = error instanceof Error ? error.message.replace(/^CronPattern: /, "") : String(error);
    const how = "Use five fields (minute hour day month weekday), or six with seconds first.";
    throw refuse(trigger, `cron expression '${rule.cron}' is not valid: ${why}`, how);
  }
  if (next === null || next > nowMs + 10 * 366 * dayMs) {
    throw refuse(trigger, `cron expression '${rule.cron}' never occurs`, "Check its day and month.");
  }
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat("en", { timeZone: name });
    return name !== "";
  } catch {
    return false;
  }
}

const refuse = (trigger: string, why: string, next: string): SaltError =>
  new SaltError("InvalidManifest", `Cannot register trigger '${trigger}': ${why}.`, { next });
