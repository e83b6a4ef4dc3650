import { SaltError } from "#shared/domain/errors.ts";

const rowsMax = 100_000;

/** The `--limit` of a list. */
export function parseLimit(text: unknown): number {
  const limit = Number(text);
  if (Number.isInteger(limit) && limit >= 1 && limit <= rowsMax) return limit;
  throw new SaltError("BadRequest", `'${String(text)}' is no number of rows.`, {
    next: `give one from 1 to ${rowsMax}`,
  });
}

export function parsePort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  throw new SaltError("BadRequest", `'${text}' is no port.`, { next: "give a number from 0 to 65535" });
}

/** `gpu` and `zone=eu`, as labels with values. */
export function parseLabels(labels: readonly string[]): Record<string, string> {
  const pairs = labels.map((label) => {
    const equals = label.indexOf("=");
    const name = equals < 0 ? label : label.slice(0, equals);
    if (!/^[A-Za-z0-9_./-]{1,63}$/.test(name)) {
      throw new SaltError("BadRequest", `'${label}' is no label.`, { next: "write it as gpu or zone=eu" });
    }
    return [name, equals < 0 ? "" : label.slice(equals + 1)] as const;
  });
  return Object.fromEntries(pairs);
}

export function parseSlots(text: string): number {
  const slots = Number(text);
  if (Number.isInteger(slots) && slots >= 0 && slots <= 10_000) return slots;
  throw new SaltError("BadRequest", `'${text}' is no number of slots.`, { next: "give one from 0 to 10000" });
}

export function parsePartitions(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= 1024) return count;
  throw new SaltError("BadRequest", `'${text}' is no number of partitions.`, { next: "give one from 1 to 1024" });
}

export function parsePriority(text: string): number {
  const priority = Number(text);
  if (Number.isInteger(priority) && Math.abs(priority) <= 100) return priority;
  throw new SaltError("BadRequest", `'${text}' is no priority.`, { next: "give a whole number from -100 to 100" });
}
