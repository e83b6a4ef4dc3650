import { describe, expect, test } from "vitest";
import { errorCodes } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import { isTest, listFiles, readSource, readSources, type Source, withoutComments } from "./support/sources.ts";

const files = listFiles();
const code = readSources(files.filter((file) => /\.(ts|mjs)$/.test(file) && !file.startsWith("examples/")));
const shipped = code.filter(({ file }) => !isTest(file));

/** `file: what`, of every line of these sources that matches. */
const found = (sources: readonly Source[], pattern: RegExp): string[] =>
  sources.flatMap(({ file, text }) =>
    withoutComments(text)
      .split("\n")
      .flatMap((line) => pattern.exec(line)?.slice(0, 1) ?? [])
      .map((what) => `${file}: ${what}`),
  );

const inFolders = (...folders: readonly string[]): Source[] =>
  shipped.filter(({ file }) => folders.some((folder) => file.startsWith(`${folder}/`)));

const stages = [
  ...["registry", "triggers", "runs", "tasks", "leases", "limits", "settle", "fleet", "logs", "access", "retention"],
];

describe("C27 logic meets the world through ports alone", () => {
  const clock = /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bset(Timeout|Interval|Immediate)\b/;
  const chance =
    /\bMath\.random\b|\bcrypto\.(subtle|getRandomValues|randomUUID)\b|\bwebcrypto\b|\brandom(Bytes|UUID|Int)\(/;
  const world =
    /\bfetch\(|"node:(fs|fs\/promises|net|http|https|tls|dgram|child_process|worker_threads|timers|timers\/promises)"/;

  test("the machine's clock and randomness are read in shared/system.ts alone, by all that a cluster is simulated of", () => {
    const simulated = inFolders("shared", "coordinator", "agent", "sdk/typescript");
    const others = simulated.filter(({ file }) => file !== "shared/system.ts" && file !== "agent/keep-alive.ts");
    expect([...found(others, clock), ...found(others, chance)]).toEqual([]);
  });

  test("a coordinator's stages do no input or output", () => {
    const folders = [...stages, "state"].map((stage) => `coordinator/${stage}`);
    expect(found(inFolders(...folders), world)).toEqual([]);
  });

  test("the agent's logic does none: that is behind the ports of agent/ports.ts, in named files", () => {
    const edge = [
      "agent/data-folder.ts",
      "agent/system-disk.ts",
      "agent/system-machine.ts",
      "agent/cache/binary-files.ts",
      "agent/cache/blob-client.ts",
      "agent/cache/find-pythons.ts",
      "agent/cache/pex-files.ts",
      "agent/cache/store-requests.ts",
      "agent/runner/launch.ts",
      "agent/runner/log-files.ts",
      "agent/runner/program-values.ts",
      "agent/runner/work-folders.ts",
    ];
    expect(
      found(
        inFolders("agent").filter(({ file }) => !edge.includes(file)),
        world,
      ),
    ).toEqual([]);
  });

  test("the SDK's core does none: that is in named files at its edge", () => {
    const edge = [
      "sdk/typescript/program/dial-agent.ts",
      "sdk/typescript/program/process-host.ts",
      "sdk/typescript/program/texts-on-disk.ts",
      "sdk/typescript/run/run-command.ts",
    ];
    expect(
      found(
        inFolders("sdk/typescript").filter(({ file }) => !edge.includes(file)),
        world,
      ),
    ).toEqual([]);
  });
});

/** What a file imports, as it is written there. */
const importsOf = ({ text }: Source): string[] =>
  [...withoutComments(text).matchAll(/(?:from|import\()\s*"([^"]+)"/g)].map(([, name = ""]) => name);

describe("who may import whom", () => {
  test("a stage imports no other stage: shared, the ports, the records and what stages share", () => {
    const allowed =
      /^#shared\/|^\.\/|^\.\.\/(records|stages)\.ts$|^\.\.\/state\/|^\.\.\/engine\/(engine|move|mover)\.ts$|^\.\.\/blobs\/blobs\.ts$/;
    const others = inFolders(...[...stages, "state"].map((stage) => `coordinator/${stage}`)).flatMap((source) =>
      importsOf(source)
        .filter((name) => /^[.#]/.test(name) && !allowed.test(name))
        .map((name) => `${source.file}: ${name}`),
    );
    expect(others).toEqual([]);
  });

  test("each part imports only what the picture allows", () => {
    const allowed: Readonly<Record<string, RegExp>> = {
      shared: /^$/,
      coordinator: /^#shared\//,
      agent: /^#shared\//,
      "sdk/typescript": /^#shared\//,
      cli: /^#shared\/|^#cli\/|^#(coordinator|agent)\/(main|options|check-stores)\.ts$/,
    };
    const wrong = Object.entries(allowed).flatMap(([folder, pattern]) =>
      inFolders(folder).flatMap((source) =>
        importsOf(source)
          .filter((name) => name.startsWith("#") && !pattern.test(name))
          .map((name) => `${source.file}: ${name}`),
      ),
    );
    expect(wrong).toEqual([]);
  });
});

describe("size and words", () => {
  /** Longer than they should be; each leaves this list when it is split. */
  const long = new Set(["coordinator/api/api.test.ts", "coordinator/journey.test.ts"]);

  test("no file has more than 400 lines", () => {
    const over = code.filter(({ file, text }) => text.split("\n").length > 401 && !long.has(file));
    expect(over.map(({ file, text }) => `${file}: ${text.split("\n").length - 1}`)).toEqual([]);
  });

  test("nothing names the place where it was written, or leaves work for later", () => {
    // In two parts, so that this file does not say them.
    const parts = [
      ["/wo", "rk/main"],
      ["/wo", "rk/shared"],
      ["/ro", "ot/"],
      ["TO", "DO"],
      ["FIX", "ME"],
      ["this iss", "ue"],
    ];
    const words = parts.map((part) => part.join(""));
    const texts = readSources(
      files.filter((file) => /\.(ts|mjs|md|json|ya?ml|txt)$/.test(file) && file !== "package-lock.json"),
    );
    const said = texts.flatMap(({ file, text }) =>
      words.filter((word) => text.includes(word)).map((word) => `${file}: ${word}`),
    );
    expect(said).toEqual([]);
  });

  test("no line is commented-out code", () => {
    const lines = code.flatMap(({ file, text }) =>
      text
        .split("\n")
        .filter((line) =>
          /^\s*\/\/ *(const|let|return|await|import|if \(|for \(|\}|[\w.]+\(.*\);?$).*[;{})]$/.test(line),
        )
        .map((line) => `${file}: ${line.trim()}`),
    );
    expect(lines).toEqual([]);
  });
});

describe("closed lists", () => {
  const text = shipped
    .filter(({ file }) => file !== "shared/domain/limits.ts" && file !== "shared/domain/errors.ts")
    .map((source) => source.text)
    .join("\n");

  /** Named before what enforces them exists. */

  test("every limit is used", () => {
    const unused = Object.keys(limits).filter((name) => !text.includes(`limits.${name}`));
    expect(unused).toEqual([]);
  });

  test("every error code is thrown somewhere", () => {
    const exitCodes = readSource("cli/exit-codes.ts")?.text ?? "";
    const elsewhere = text.replace(exitCodes, "");
    const unused = Object.keys(errorCodes).filter((name) => !elsewhere.includes(`"${name}"`));
    expect(unused).toEqual([]);
  });

  test("every error code is explained in docs/errors.md, with its status", () => {
    const page = readSource("docs/errors.md")?.text ?? "";
    const missing = Object.entries(errorCodes).filter(
      ([name, status]) => !page.includes(`| \`${name}\` | ${status} |`),
    );
    expect(missing).toEqual([]);
  });
});

describe("what the tests cover", () => {
  const titles = readSources(files.filter((file) => isTest(file) && file.endsWith(".ts"))).flatMap(({ text }) =>
    [...text.matchAll(/["'`]((?:[AC]\d+ )+)/g)].flatMap(([, numbers = ""]) => numbers.trim().split(" ")),
  );
  const count = (name: string): number => titles.filter((title) => title === name).length;

  /** Rules whose subject is not there yet, or that no test names yet. */
  const rulesToCome: Readonly<Record<string, string>> = {};
  const firstThirty = Array.from({ length: 30 }, (_, index) => index + 1);
  const attacks = [...firstThirty, 50, 51, 54, 55, 56, 57, 59, 60, 70, 71, 72, 73, 74].map((n) => `A${n}`);
  const attacksToCome: Readonly<Record<string, string>> = {};

  test("each rule of the core is named by the title of a test, or is to come", () => {
    const rules = Array.from({ length: 29 }, (_, index) => `C${index + 1}`);
    console.info(`rules   ${rules.map((rule) => `${rule}:${count(rule)}`).join(" ")}`);
    expect(rules.filter((rule) => count(rule) === 0)).toEqual(Object.keys(rulesToCome));
  });

  test("each attack on what is built is named by the title of a test, or is to come", () => {
    console.info(`attacks ${attacks.map((attack) => `${attack}:${count(attack)}`).join(" ")}`);
    expect(attacks.filter((attack) => count(attack) === 0)).toEqual(Object.keys(attacksToCome));
  });
});
