import { mkdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Trace } from "./trace.ts";

const wrongMax = 10;
const wrongCharsMax = 1_000;

/** What a person needs of a failed seed: what is wrong, how to have it again, the last lines, and a file with all. */
export function tellFailure(seed: number, wrong: readonly string[], trace: Trace, lines: number): string {
  const folder = join(tmpdir(), "salt-simulation");
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `seed-${seed}.txt`);
  writeFileSync(file, `${wrong.join("\n")}\n\n${trace.show()}\n`);
  const said = wrong.slice(0, wrongMax).map((line) => `  ${line.slice(0, wrongCharsMax)}`);
  if (wrong.length > wrongMax) said.push(`  and ${wrong.length - wrongMax} more`);
  return [
    `Seed ${seed} failed (again: npm run simulate -- --seeds 1 --from ${seed}):`,
    ...said,
    ...(lines > 0 ? ["", trace.show(lines), ""] : []),
    `The whole trace: ${file}`,
  ].join("\n");
}
