import { readFile, writeFile } from "node:fs/promises";
import { Decimal, Duration, fileSchema, NonRetryableError, task, z } from "@salt/sdk";

/** A value of each kind that the encoding has. */
const Parcel = z.object({
  grams: z.bigint(),
  small: z.bigint(),
  price: z.instanceof(Decimal),
  packed: z.date(),
  seal: z.instanceof(Uint8Array),
  counts: z.map(z.string(), z.number()),
  tags: z.set(z.string()),
  id: z.uuid(),
  keeps: z.instanceof(Duration),
  list: fileSchema,
  trouble: z.instanceof(Error),
  ratio: z.number(),
  note: z.string().nullable(),
});

const Inspected = z.object({ parcel: Parcel, kinds: z.record(z.string(), z.string()), list: z.string() });

const kindOf = (value: unknown): string =>
  typeof value === "object" && value !== null ? value.constructor.name : typeof value;

task({ name: "pack", input: z.string(), output: Parcel }, async (note, { file }) => {
  await writeFile("list.txt", "flour, eggs");
  return {
    grams: 12_345_678_901_234_567_890n,
    small: 7n,
    price: new Decimal("1.20"),
    packed: new Date("2026-03-01T12:34:56.789Z"),
    seal: new Uint8Array([0, 255, 16]),
    counts: new Map([
      ["eggs", 12],
      ["flour", 0.5],
    ]),
    tags: new Set(["fragile", "cool"]),
    id: "0190a6f0-0000-7000-8000-000000000001",
    keeps: new Duration(1_500),
    list: await file("list.txt", { mediaType: "text/plain" }),
    trouble: new RangeError("too cold"),
    ratio: 0.1,
    note,
  };
});

task({ name: "inspect", input: Parcel, output: Inspected }, async (parcel, { pathOf }) => ({
  parcel,
  kinds: Object.fromEntries(Object.entries(parcel).map(([name, value]) => [name, kindOf(value)])),
  list: await readFile(await pathOf(parcel.list), "utf8"),
}));

task({ name: "lines", input: z.number(), output: z.array(z.string()) }, async (count) =>
  Array.from({ length: count }, (_, line) => `line ${line} of the kitchen`),
);

task({ name: "count", input: z.array(z.string()), output: z.number() }, async (lines) => lines.length);

class Spilt extends NonRetryableError {
  override name = "Spilt";
  readonly details = { litres: 2 };
}

task({ name: "spill", input: z.string(), output: z.null() }, async (what) => {
  throw new Spilt(`${what} is on the floor`, { cause: new TypeError("no lid", { cause: new RangeError("too full") }) });
});

task({ name: "halve", input: z.number() }, async (n) => (n === 0 ? Number.NaN : n / 2));
