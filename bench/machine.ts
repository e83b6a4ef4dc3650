import { availableParallelism, cpus, loadavg, release, totalmem, type } from "node:os";
import { saltVersion } from "#cli/version.ts";

/** What the numbers hold for, a line each. */
export function describeMachine(): string[] {
  const model = cpus()[0]?.model.trim() || "unknown";
  const load = loadavg()[0] ?? 0;
  return [
    `machine   ${model}, ${availableParallelism()} cores, ${(totalmem() / 1024 ** 3).toFixed(1)} GiB, ${type()} ${release()}`,
    `date      ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC, load before ${load.toFixed(2)}`,
    `versions  node ${process.versions.node}, salt ${saltVersion}, sqlite ${process.versions.sqlite}`,
  ];
}
