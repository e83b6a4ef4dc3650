import { SaltError } from "#shared/domain/errors.ts";

const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** `500ms`, `30s`, `5m`, `1h30m`, `7d`; a bare number is seconds. Milliseconds. */
export function parseDuration(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1_000;
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d|w)/g)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) {
    throw new SaltError("BadRequest", `'${text}' is no duration.`, { next: "write it as 30s, 5m, 1h30m or 7d" });
  }
  return parts.reduce((sum, [, amount, unit = "s"]) => sum + Number(amount) * (unitsMs[unit] ?? 0), 0);
}

/** At most two units: `12 ms`, `3.4 s`, `2 m 5 s`, `1 h 30 m`, `3 d 4 h`. */
export function durationText(durationMs: number): string {
  const ms = Math.max(0, durationMs);
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  const pair = (big: number, bigName: string, small: number, smallName: string) => {
    const bigs = Math.floor(ms / big);
    const smalls = Math.floor((ms - bigs * big) / small);
    return smalls === 0 ? `${bigs} ${bigName}` : `${bigs} ${bigName} ${smalls} ${smallName}`;
  };
  if (ms < 3_600_000) return pair(60_000, "m", 1_000, "s");
  if (ms < 86_400_000) return pair(3_600_000, "h", 60_000, "m");
  return pair(86_400_000, "d", 3_600_000, "h");
}

export const agoText = (atMs: number, nowMs: number): string => `${durationText(nowMs - atMs)} ago`;
