import { median } from "./statistics.ts";

/** Stable: what reads the output may rely on them. */
export const benchNames = [
  "fanout",
  "call",
  "run",
  "memory",
  "engine.sqlite",
  "engine.redis",
  "bullmq",
  "restate",
  "agents",
  "redis.size",
  "python",
] as const;
export type BenchName = (typeof benchNames)[number];

export type Unit =
  | "tasks/s"
  | "steps/s"
  | "runs/s"
  | "agents/s"
  | "moves/s"
  | "ms"
  | "µs/task"
  | "µs"
  | "MiB"
  | "KiB"
  | "bytes";

/** One number. */
export interface Row {
  readonly bench: BenchName;
  readonly metric: string;
  /** Null when the row is void. */
  readonly value: number | null;
  readonly unit: Unit;
  /** The lowest and the highest of the rounds whose median `value` is. */
  readonly range?: readonly [number, number];
  /** What else did the same work, in the same rounds. */
  readonly peer?: {
    readonly name: string;
    readonly value: number;
    /** The lowest and the highest ratio of a round of ours to the one of its beside it. */
    readonly ratios?: readonly [number, number];
  };
}

/** A number per round, and the peer's beside them: the row has the medians. */
export function rowOf(
  place: Pick<Row, "bench" | "metric" | "unit">,
  rounds: readonly number[],
  peer?: { readonly name: string; readonly rounds: readonly number[] },
): Row {
  return {
    ...place,
    value: median(rounds),
    ...(rounds.length > 1 ? { range: [Math.min(...rounds), Math.max(...rounds)] as const } : {}),
    ...(peer
      ? { peer: { name: peer.name, value: median(peer.rounds), ...ratiosOf(place.unit, rounds, peer.rounds) } }
      : {}),
  };
}

function ratiosOf(unit: Unit, rounds: readonly number[], peers: readonly number[]) {
  if (rounds.length < 2 || rounds.length !== peers.length) return {};
  const ratios = rounds.map((value, index) => ratioIn(unit, value, peers[index] ?? 0));
  const [lowest, highest] = [Math.min(...ratios), Math.max(...ratios)];
  return Number.isFinite(lowest) && Number.isFinite(highest) ? { ratios: [lowest, highest] as const } : {};
}

export const voidRow = ({ bench, metric, unit }: Row): Row => ({ bench, metric, unit, value: null });

/** What is counted per second is better when there is more of it, all else when there is less. Above 1: Salt is better. */
const ratioIn = (unit: Unit, value: number, peer: number): number =>
  unit.endsWith("/s") ? value / peer : peer / value;

export function ratioOf({ value, unit, peer }: Row): number | null {
  if (value === null || peer === undefined) return null;
  const ratio = ratioIn(unit, value, peer.value);
  // What took less than a tick of the kernel's clock is 0.
  return Number.isFinite(ratio) ? ratio : null;
}

/** One object a line. A range is two rows more: `<metric>.min` and `<metric>.max`. */
export function jsonLines(row: Row): string[] {
  const { bench, metric, unit, value, range, peer } = row;
  const ratio = ratioOf(row);
  const line = {
    ...{ bench, metric, value: value === null ? null : rounded(value), unit },
    ...(peer && ratio !== null ? { peer: peer.name, peerValue: rounded(peer.value), ratio: rounded(ratio) } : {}),
    ...(peer?.ratios ? { ratioMin: rounded(peer.ratios[0]), ratioMax: rounded(peer.ratios[1]) } : {}),
  };
  const ends = (range ?? []).map((end, index) => {
    return { bench, metric: `${metric}.${index === 0 ? "min" : "max"}`, value: rounded(end), unit };
  });
  return [line, ...ends].map((each) => JSON.stringify(each));
}

const widths = [14, 24, 10, 8, 20, 10, 10, 0] as const;

export const tableHead = (): string =>
  tableLine(["bench", "metric", "value", "unit", "range", "peer", "its value", "ratio"]);

export function tableRow(row: Row): string {
  const { bench, metric, unit, value, range, peer } = row;
  const ratio = ratioOf(row);
  return tableLine([
    bench,
    metric,
    value === null ? "void" : text(value),
    unit,
    range ? range.map(text).join(" – ") : "",
    peer?.name ?? "",
    peer ? text(peer.value) : "",
    ratio === null ? "" : `${rounded(ratio)}${peer?.ratios ? ` (${peer.ratios.map(text).join(" – ")})` : ""}`,
  ]);
}

const tableLine = (cells: readonly string[]): string =>
  cells
    .map((cell, index) => cell.padEnd(widths[index] ?? 0))
    .join(" ")
    .trimEnd();

const text = (value: number): string => rounded(value).toLocaleString("en");

/** Three digits, and all that stand before the point. */
const rounded = (value: number): number => (Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
