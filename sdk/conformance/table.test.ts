import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { makeTable, readFeatures, transcriptCases, valueCases } from "./make-table.ts";
import { readResults } from "./results.ts";

const page = new URL("../../docs/sdk-conformance.md", import.meta.url);

test("docs/sdk-conformance.md is what the results make of it", () => {
  if (process.env.SALT_WRITE_CONFORMANCE === "1") writeFileSync(page, makeTable());
  expect(readFileSync(page, "utf8"), "stale: npm run conformance").toBe(makeTable());
});

test.each(["typescript", "python"] as const)("what an SDK must have, %s has", (language) => {
  expect(readResults(language, "transcripts").sort()).toEqual(transcriptCases().sort());
  expect(readResults(language, "values").sort()).toEqual(valueCases().sort());
  const lacking = readFeatures().filter(({ level, tests }) => level === "must" && tests?.[language] === null);
  expect(lacking).toEqual([]);
});

test("each transcript is a row of the table", () => {
  const rows = new Set(readFeatures().map(({ transcript }) => transcript));
  expect([...new Set(transcriptCases().map((name) => name.split(":")[0]))].filter((file) => !rows.has(file))).toEqual(
    [],
  );
});

test("each ✓ is a test that there is", () => {
  const sources = {
    typescript: ["main", "workflow/replay", "run/local-run", "declare/describe-project"].map(
      (name) => `../typescript/${name}.test.ts`,
    ),
    python: ["program", "execution", "replay", "tables", "types"].map((name) => `../python/tests/test_${name}.py`),
  };
  for (const language of ["typescript", "python"] as const) {
    const text = sources[language].map((file) => readFileSync(new URL(file, import.meta.url), "utf8")).join("\n");
    const titles = readFeatures().flatMap(({ tests }) => tests?.[language] ?? []);
    const isThere = (title: string) => text.includes(language === "python" ? `def ${title}(` : title);
    expect(titles.filter((title) => !isThere(title))).toEqual([]);
  }
});
