import { readFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { saltFolder } from "./folders.ts";

/** A V8 CPU profile (Chrome DevTools protocol, Profiler.Profile). Times in microseconds on the machine's monotonic clock. */
const profileSchema = z.object({
  startTime: z.number(),
  nodes: z.array(
    z.object({
      id: z.number(),
      callFrame: z.object({ functionName: z.string(), url: z.string(), lineNumber: z.number() }),
      children: z.array(z.number()).exactOptional(),
    }),
  ),
  samples: z.array(z.number()),
  timeDeltas: z.array(z.number()),
});
type Profile = z.infer<typeof profileSchema>;

export interface SelfTime {
  readonly file: string;
  /** Name and line; of a native function also the file that it works for. */
  readonly function: string;
  readonly micros: number;
}

/** Microseconds on the machine's monotonic clock. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export const monotonicMicros = (): number => Number(process.hrtime.bigint() / 1_000n);

/** The time that each function spent itself within a span, the most first. Time in which the process slept is left out. */
export async function readSelfTimes(file: string, span: Span): Promise<SelfTime[]> {
  const profile = profileSchema.parse(JSON.parse(await readFile(file, "utf8")));
  const places = placesOf(profile);
  const times = new Map<string, { file: string; function: string; micros: number }>();
  let at = profile.startTime;
  for (const [index, id] of profile.samples.entries()) {
    at += profile.timeDeltas[index] ?? 0;
    const place = places.get(id);
    if (place === undefined || at < span.from || at > span.to) continue;
    const name = `${place.file} ${place.function}`;
    const known = times.get(name) ?? { ...place, micros: 0 };
    // A sample stands for the time until the next one.
    known.micros += profile.timeDeltas[index + 1] ?? 0;
    times.set(name, known);
  }
  return [...times.values()].sort((a, b) => b.micros - a.micros);
}

/** Where each node of the call tree is; idle ones are left out. */
function placesOf({ nodes }: Profile): Map<number, { readonly file: string; readonly function: string }> {
  const parents = new Map(nodes.flatMap((node) => (node.children ?? []).map((child) => [child, node] as const)));
  const places = new Map<number, { file: string; function: string }>();
  for (const { id, callFrame } of nodes) {
    const { functionName, url, lineNumber } = callFrame;
    const name = functionName || "(anonymous)";
    if (name === "(idle)") continue;
    if (url !== "") {
      places.set(id, { file: fileOf(url), function: `${name}:${lineNumber + 1}` });
    } else if (name.startsWith("(") && functionName !== "") {
      places.set(id, { file: "V8", function: name });
    } else {
      let caller = parents.get(id);
      while (caller !== undefined && !caller.callFrame.url.startsWith("file:")) caller = parents.get(caller.id);
      places.set(id, { file: "native", function: caller ? `${name} for ${fileOf(caller.callFrame.url)}` : name });
    }
  }
  return places;
}

const fileOf = (url: string): string => (url.startsWith("file:") ? path.relative(saltFolder, fileURLToPath(url)) : url);
