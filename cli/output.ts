import ansis, { Ansis } from "ansis";
import stringWidth from "string-width";
import { SaltError } from "#shared/domain/errors.ts";
import { cleanLine } from "./clean-text.ts";
import type { Cli, Sink } from "./cli.ts";
import { didYouMean } from "./nearest.ts";

/** Colours for what is written to a sink: none into pipes, by NO_COLOR and FORCE_COLOR as everywhere. */
export function coloursFor(cli: Cli, sink: Sink): Ansis {
  const forced = cli.env.FORCE_COLOR !== undefined && cli.env.FORCE_COLOR !== "0";
  const wanted = !cli.env.NO_COLOR && (forced || Boolean(sink.isTTY)) && cli.env.TERM !== "dumb";
  const level = wanted ? Math.max(ansis.level, 1) : 0;
  const made = coloursByLevel.get(level) ?? new Ansis(level);
  coloursByLevel.set(level, made);
  return made;
}

/** To make one takes as long as to write hundreds of lines. */
const coloursByLevel = new Map<number, Ansis>();

export interface Column<Row> {
  readonly title: string;
  readonly text: (row: Row) => string;
  readonly align?: "right";
  /** What is shown of a text that is wider than the terminal has room for; default: its beginning, and `…`. */
  readonly shorten?: (text: string, width: number) => string;
  readonly paint?: (colours: Ansis, text: string, row: Row) => string;
}

export interface ListOptions {
  /** `true` for whole rows, or the fields to pick, separated by commas. */
  readonly json?: string | boolean | undefined;
  /** Said on stderr in place of an empty table. */
  readonly empty: string;
}

/** Prints rows as a table, or as a JSON array. */
export function printList<Row extends object>(
  cli: Cli,
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: ListOptions,
): void {
  if (options.json) {
    printJson(cli, rows, options.json);
    return;
  }
  if (rows.length === 0) {
    cli.stderr.write(`${options.empty}\n`);
    return;
  }
  const width = cli.stdout.isTTY ? cli.stdout.columns || 80 : null;
  for (const line of tableLines(rows, columns, { width, colours: coloursFor(cli, cli.stdout) })) {
    cli.stdout.write(`${line}\n`);
  }
}

/** `width` null: nothing is cut off. */
export function tableLines<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  options: { readonly width: number | null; readonly colours: Ansis },
): string[] {
  const cells = rows.map((row) => columns.map((column) => cleanLine(column.text(row))));
  const widths = columns.map((column, index) =>
    Math.max(stringWidth(column.title), ...cells.map((line) => stringWidth(line[index] ?? ""))),
  );
  if (options.width !== null) shrinkWidest(widths, options.width - 2 * (columns.length - 1));
  const lineOf = (texts: readonly string[], paint: (text: string, index: number) => string) =>
    texts
      .map((text, index) => {
        const width = widths[index] ?? 0;
        const cut = (columns[index]?.shorten ?? cutText)(text, width);
        const gap = " ".repeat(Math.max(0, width - stringWidth(cut)));
        const painted = paint(cut, index);
        if (columns[index]?.align === "right") return gap + painted;
        return index === columns.length - 1 ? painted : painted + gap;
      })
      .join("  ")
      .trimEnd();
  const titles = columns.map((column) => column.title);
  return [
    lineOf(titles, (text) => options.colours.dim(text)),
    ...cells.map((line, rowIndex) =>
      lineOf(line, (text, index) => columns[index]?.paint?.(options.colours, text, rows[rowIndex] as Row) ?? text),
    ),
  ];
}

const columnCharsMin = 8;

/** Takes from the widest columns until the sum fits, as far as `columnCharsMin`. */
function shrinkWidest(widths: number[], budget: number): void {
  for (let sum = widths.reduce((a, b) => a + b, 0); sum > budget; sum--) {
    const widest = widths.indexOf(Math.max(...widths));
    if ((widths[widest] ?? 0) <= columnCharsMin) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

/** Text of at most `width` terminal columns, with `…` where it was cut. */
export function cutText(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let cut = "";
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    if (stringWidth(cut + segment) > width - 1) break;
    cut += segment;
  }
  return `${cut}…`;
}

/** Prints a value as JSON: indented for people, one line into a pipe. With fields, only those of it or of each row. */
export function printJson(cli: Cli, value: unknown, json: string | boolean): void {
  const picked = typeof json === "string" ? pickFields(value, json.split(",")) : value;
  cli.stdout.write(`${JSON.stringify(picked, null, cli.stdout.isTTY ? 2 : undefined)}\n`);
}

/** Fields of an object, or of each object of an array; `a.b` reaches inside. Unknown ones are refused. */
export function pickFields(value: unknown, fields: readonly string[]): unknown {
  if (Array.isArray(value)) return value.map((row) => pickFields(row, fields));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    fields.map((field) => [field, field.split(".").reduce((at: unknown, key) => fieldOf(at, key), value)]),
  );
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return null;
  if (Object.hasOwn(value, key)) return (value as Record<string, unknown>)[key];
  const known = Object.keys(value);
  throw new SaltError("BadRequest", `There is no field '${key}'.${didYouMean(key, known)}`, {
    next: `name some of ${known.join(", ")}`,
  });
}

/** Prints the fields of one object, one a line. Null ones are left out. */
export function printFields(cli: Cli, fields: readonly (readonly [string, string | null])[]): void {
  const shown = fields.filter((field): field is readonly [string, string] => field[1] !== null);
  const width = Math.max(...shown.map(([title]) => title.length));
  const colours = coloursFor(cli, cli.stdout);
  for (const [title, text] of shown) {
    cli.stdout.write(`${colours.dim(title.padEnd(width))}  ${cleanText(text, width + 2)}\n`);
  }
}

const cleanText = (text: string, indent: number): string =>
  text
    .split("\n")
    .map((line) => cleanLine(line))
    .join(`\n${" ".repeat(indent)}`);

const statusColours: Readonly<Record<string, "green" | "red" | "yellow" | "cyan" | "dim">> = {
  succeeded: "green",
  failed: "red",
  cancelled: "yellow",
  cancelling: "yellow",
  running: "cyan",
  parked: "dim",
  queued: "dim",
  waiting: "dim",
  connected: "green",
};

export const paintStatus = (colours: Ansis, status: string): string => {
  const name = statusColours[status.trim()];
  return name === undefined ? status : colours[name](status);
};
