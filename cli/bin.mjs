#!/usr/bin/env node
// Plain JavaScript that any Node from 20 on runs: Salt itself needs the Node that its `node` package pins.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import module from "node:module";
import { constants } from "node:os";
import path from "node:path";

const nodeMajorMin = 24;

if (Number(process.versions.node.split(".")[0]) >= nodeMajorMin) {
  module.enableCompileCache?.();
  const { runCli } = await import("./main.ts");
  process.exitCode = await runCli(process.argv.slice(2));
} else {
  runWith(findPinnedNode());
}

function findPinnedNode() {
  try {
    const manifest = module.createRequire(import.meta.url).resolve("node/package.json");
    const { bin } = JSON.parse(readFileSync(manifest, "utf8"));
    return path.join(path.dirname(manifest), bin.node);
  } catch {
    console.error(
      `salt needs Node ${nodeMajorMin} or newer; this is ${process.version}, and its own copy (the npm package "node") is not installed.\n→ install Salt again with npm, with the install script of that package allowed`,
    );
    process.exit(1);
  }
}

/** Hands this process's place over: the same terminal, signals and exit code. */
function runWith(node) {
  const child = spawn(node, process.argv.slice(1), { stdio: "inherit" });
  // A terminal sends its signals to the whole process group: forwarding them as well would deliver each one twice.
  const terminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]) {
    process.on(signal, () => {
      if (!terminal || signal === "SIGTERM") child.kill(signal);
    });
  }
  child.on("error", (error) => {
    console.error(
      `salt cannot start ${node}: ${error.message}.\n→ install Salt again with npm, with the install script of the package "node" allowed`,
    );
    process.exit(1);
  });
  child.on("exit", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal ?? "SIGTERM"] ?? 15)));
}
