import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
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
    `peers     redis ${redisVersion()}, bullmq ${versionOf("bullmq")}, restate ${versionOf("@restatedev/restate-server")}`,
  ];
}

const redisVersion = (): string =>
  /v=([\d.]+)/.exec(String(spawnSync("redis-server", ["--version"]).stdout ?? ""))?.[1] ?? "none";

function versionOf(name: string): string {
  try {
    return (createRequire(import.meta.url)(`${name}/package.json`) as { version: string }).version;
  } catch {
    return "none";
  }
}
