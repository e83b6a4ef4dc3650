import { createHash } from "node:crypto";
import { task, workflow, z } from "@salt/sdk";

const Row = z.object({ city: z.string(), celsius: z.number() });

/** Stands for a source: the rows of one day, some of them wrong. */
export const extract = task(
  { name: "extract", input: z.object({ day: z.string() }), output: z.array(Row), retry: { attempts: 3 } },
  async ({ day }) => {
    const cities = ["Oslo", "Cairo", "Lima", "Pune"];
    return cities.map((city) => {
      const noise = createHash("sha256").update(`${day}${city}`).digest().readUInt8(0);
      return { city, celsius: noise > 250 ? 999 : Math.round(noise / 6) };
    });
  },
);

export const clean = task(
  {
    name: "clean",
    input: z.array(Row),
    output: z.array(Row),
    checks: { someRowsLeft: (rows) => rows.length > 0 },
  },
  async (rows) => rows.filter((row) => row.celsius < 60),
);

export const summarise = task(
  { name: "summarise", input: z.array(z.array(Row)), output: z.record(z.string(), z.number()) },
  async (days) => {
    const byCity = new Map<string, number[]>();
    for (const { city, celsius } of days.flat()) byCity.set(city, [...(byCity.get(city) ?? []), celsius]);
    return Object.fromEntries(
      [...byCity].map(([city, values]) => [city, values.reduce((sum, value) => sum + value, 0) / values.length]),
    );
  },
);

/** Every day in parallel; the results meet in one task. */
export const temperatures = workflow(
  {
    name: "temperatures",
    input: z.object({ days: z.array(z.string()).default(["2026-01-01", "2026-01-02", "2026-01-03"]) }),
    output: z.record(z.string(), z.number()),
  },
  async ({ days }) => await summarise(days.map((day) => clean(extract({ day })))),
);
