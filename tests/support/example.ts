import { cp } from "node:fs/promises";
import path from "node:path";
import { saltFolder } from "./salt-process.ts";
import type { Salt } from "./start-salt.ts";

export type ExampleName = "fan-out" | "converge" | "approval" | "orders";
/** `clashing-versions` has two projects. */
export type PythonExampleName = "etl-pandas" | "drift-scikit" | "clashing-versions/two" | "clashing-versions/three";

/** Copies an example into the folder of a Salt, so that nothing is built in the checkout, and registers it. */
export async function registerExample(salt: Salt, name: ExampleName): Promise<{ folder: string; program: string }> {
  const folder = await copyExample(name, path.join(salt.folder, "projects"));
  await salt.saltOk(["register-workflow", folder]);
  const program = path.join(folder, "dist", `${process.platform}-${process.arch}`, "main");
  return { folder, program };
}

/** Copies an example's sources into a folder; returns where they are. */
export async function copyExample(name: ExampleName | PythonExampleName, into: string): Promise<string> {
  const made = ["dist", ".salt", "node_modules"];
  const folder = path.join(into, name);
  const source = path.join(saltFolder, "examples", name);
  await cp(source, folder, { recursive: true, filter: (file) => !made.includes(path.basename(file)) });
  return folder;
}
