import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findPython, requirePython } from "../../../tests/support/python-project.ts";
import { temporaryFolder } from "../../testing/fake-cli.ts";
import { firstInterpreter } from "./find-interpreters.ts";

const python = await findPython();
requirePython(python);

let folder = "";
let remove = async () => {};
beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
});
afterAll(() => remove());

describe.skipIf(python === null)("firstInterpreter", () => {
  it("gives of a virtual environment the Python that it was made of, so that what is made with it outlives that", async () => {
    const venv = path.join(folder, "venv");
    await promisify(execFile)(python ?? "", ["-m", "venv", "--without-pip", venv]);
    const found = await firstInterpreter({ ...process.env, SALT_PYTHON: path.join(venv, "bin", "python") });
    expect(found).toEqual(await firstInterpreter({ ...process.env, SALT_PYTHON: python ?? "" }));
    expect(found.file.startsWith(folder)).toBe(false);
  });
});
