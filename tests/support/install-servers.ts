import { spawnSync } from "node:child_process";
import path from "node:path";
import { findWeed } from "./s3-server.ts";

const installMs = 240_000;

/**
 * Before all tests: the servers that they start are installed where this may be done, Redis by Debian's packages as root,
 * SeaweedFS into the checkout. Where it may not, the tests that need one say what to install.
 */
export function setup(): void {
  if (spawnSync("redis-server", ["--version"]).error && process.getuid?.() === 0) installRedis();
  findWeed();
  passShims();
}

/**
 * Interpreters that pyenv stands in for take a third of a second of a core to say who they are, at each agent's start: the
 * one that they would choose is asked in their place.
 */
function passShims(): void {
  const asked = spawnSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" });
  if (asked.status !== 0) return;
  const folders = (process.env.PATH ?? "").split(path.delimiter).filter((folder) => path.basename(folder) !== "shims");
  process.env.PATH = [path.dirname(asked.stdout.trim()), ...folders].join(path.delimiter);
}

function installRedis(): void {
  if (spawnSync("apt-get", ["--version"]).error) return;
  console.info("Installing redis-server, which tests start.");
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (const args of [
    ["update", "-q"],
    ["install", "-y", "-q", "--no-install-recommends", "redis-server"],
  ]) {
    spawnSync("apt-get", args, { env, stdio: ["ignore", "ignore", "inherit"], timeout: installMs });
  }
}
