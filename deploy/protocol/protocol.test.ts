import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import type { Tree } from "#cli/generate/write-tree.ts";
import { listFiles, readSource } from "../../tests/support/sources.ts";
import { pythonMessages, pythonMessagesFolder, schemasFolder, schemasTree } from "./write-protocol.ts";

function readTree(folder: string): Tree {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !entry.parentPath.includes("__pycache__"),
  );
  return Object.fromEntries(
    files.map((entry) => {
      const file = path.join(entry.parentPath, entry.name);
      return [path.relative(folder, file).split(path.sep).join("/"), readFileSync(file, "utf8")];
    }),
  );
}

describe("what lies in the repository is what `npm run protocol` writes", () => {
  test("the published schemas are those of the zod schemas", async () => {
    expect(readTree(schemasFolder)).toEqual(await schemasTree());
  });

  test("the Python SDK's messages are the code of the published schemas", async () => {
    expect(readTree(pythonMessagesFolder)).toEqual(await pythonMessages());
  });
});

interface Transcript {
  readonly cases: readonly { readonly steps: readonly { readonly in?: unknown }[] }[];
}

/** `{"$sha256": text}` stands for the digest of the text. */
function withDigests(_: string, value: unknown): unknown {
  const text = typeof value === "object" && value !== null && "$sha256" in value ? value.$sha256 : undefined;
  return typeof text === "string" ? createHash("sha256").update(text).digest("hex") : value;
}

describe("the published schemas", () => {
  const ajv = new Ajv2020({ strict: false, logger: false, formats: { base64: true } });
  for (const [file, text] of Object.entries(readTree(schemasFolder))) {
    ajv.addSchema({ ...JSON.parse(text), $id: `https://salt.test/${file}` });
  }
  const check = (type: string, value: unknown): unknown => {
    const validate = ajv.getSchema(`https://salt.test/${type.replace("#", "#/$defs/")}`);
    if (validate === undefined) throw new Error(`there is no ${type}`);
    return validate(value) ? [] : validate.errors;
  };

  test("each is valid, and what it refers to is there", () => {
    for (const [file, text] of Object.entries(readTree(schemasFolder))) {
      for (const name of Object.keys((JSON.parse(text) as { $defs: object }).$defs)) {
        expect(() => check(`${file}#${name}`, null), `${file}#${name}`).not.toThrow();
      }
    }
  });

  test("every golden vector of values is an EncodedValue; a tagged form of no known tag is none", () => {
    const vectors = JSON.parse(readSource("sdk/conformance/values.json")?.text ?? "") as {
      values: { name: string; text: string }[];
    };
    for (const { name, text } of vectors.values) {
      expect(check("values/encoded.json#EncodedValue", JSON.parse(text)), name).toEqual([]);
    }
    expect(check("values/encoded.json#EncodedValue", { $salt: "nope", v: 1 })).not.toEqual([]);
  });

  test("every frame that the transcripts give a program is one of the task protocol", () => {
    const frames = listFiles()
      .filter((file) => file.startsWith("sdk/conformance/transcripts/"))
      .flatMap((file) => {
        const { cases } = JSON.parse(readSource(file)?.text ?? "", withDigests) as Transcript;
        return cases.flatMap(({ steps }) => steps.flatMap((step) => (step.in === undefined ? [] : [step.in])));
      });
    expect(frames.length).toBeGreaterThan(100);
    // A kind of entry that is yet to be invented is in them too.
    for (const frame of frames.filter((one) => !JSON.stringify(one).includes('"comet"'))) {
      expect(check("task/from_agent.json#AgentToProgramFrame", frame), JSON.stringify(frame)).toEqual([]);
    }
  });
});
