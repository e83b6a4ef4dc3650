import type { Registry } from "../declare/registry.ts";

export async function runCommand(_registry: Registry, _args: readonly string[]): Promise<number> {
  return 2;
}
