import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SaltError } from "#shared/domain/errors.ts";
import { findPython, requirePython } from "../../../tests/support/python-project.ts";
import { temporaryFolder, testCache } from "../../testing/fake-cli.ts";
import { buildProject } from "../build-project.ts";

const execute = promisify(execFile);
const python = await findPython();
requirePython(python);

const said: string[] = [];
const deps = {
  env: { ...process.env, SALT_CACHE: testCache },
  say: (line: string) => void said.push(line),
  nowMs: Date.now,
};

let folder = "";
let remove = async () => {};
beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
});
afterAll(() => remove());

const pyproject = (dependencies = '"idna"') =>
  `[project]\nname = "shop"\nversion = "1.0"\nrequires-python = ">=3.10"\ndependencies = [${dependencies}]\n`;
const main = (text = "") =>
  `import salt\n${text}\n\n@salt.task\ndef double(x: int) -> int:\n    return 2 * x\n\n\n@salt.workflow\ndef flow(x: int) -> int:\n    return double(x).result()\n`;
const idnaHash = "946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3";
const locked = `idna==3.10 \\\n    --hash=sha256:${idnaHash}\n`;

async function projectWith(files: Readonly<Record<string, string | null>> = {}): Promise<string> {
  const own = path.join(await mkdtemp(path.join(folder, "p-")), "shop");
  const all = {
    "salt.yaml": "name: shop\n",
    "pyproject.toml": pyproject(),
    "requirements.txt": locked,
    "src/shop/__init__.py": "",
    "src/shop/main.py": main("import idna"),
    ...files,
  };
  for (const [name, text] of Object.entries(all)) {
    await mkdir(path.dirname(path.join(own, name)), { recursive: true });
    if (text !== null) await writeFile(path.join(own, name), text);
  }
  return own;
}

async function failureOf(files: Readonly<Record<string, string | null>>, env = {}): Promise<SaltError> {
  const request = { folder: await projectWith(files) };
  const error = await buildProject({ ...deps, env: { ...deps.env, ...env } }, request).catch(
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SaltError);
  return error as SaltError;
}

describe.skipIf(python === null)("salt build of a Python project", { timeout: 180_000 }, () => {
  it("makes a PEX with its lock's packages and the SDK, the same bytes wherever it is, and nothing when nothing changed", async () => {
    const own = await projectWith();
    const built = await buildProject(deps, { folder: own });
    expect(built.manifest.description.workflows.map(({ name }) => name)).toEqual(["flow"]);
    const [binary] = built.binaries;
    expect(binary?.file).toMatch(/dist\/[a-z0-9-]+\/main\.pex$/);
    expect(binary?.python).toEqual({ requires: ">=3.10" });
    expect(Object.values(built.manifest.binaries)[0]?.python).toEqual({ requires: ">=3.10" });
    expect(said.at(-1) ?? "").not.toContain("no lock");
    const { stdout } = await execute(python ?? "", [binary?.file ?? "", "run", "flow", "--input", "21"]);
    expect(stdout).toBe("42\n");
    const again = await buildProject(deps, { folder: own });
    expect(again.binaries[0]).toMatchObject({ reused: true, sha256: binary?.sha256, python: { requires: ">=3.10" } });
    const elsewhere = await projectWith();
    const twiceAtOnce = await Promise.all([1, 2].map(() => buildProject(deps, { folder: elsewhere })));
    for (const { binaries } of twiceAtOnce) {
      expect(binaries[0]).toMatchObject({ reused: false, sha256: binary?.sha256 });
    }
  });

  it("resolves where there is no lock, says so, writes down what it took, and takes the same the next time", async () => {
    const own = await projectWith({ "requirements.txt": null });
    const built = await buildProject(deps, { folder: own });
    expect(said.some((line) => line.includes("resolving its dependencies, for there is no lock"))).toBe(true);
    const written = path.join(path.dirname(built.binaries[0]?.file ?? ""), "requirements.txt");
    expect(await readFile(written, "utf8")).toMatch(/^idna==\S+ --hash=sha256:[0-9a-f]{64}\n$/);
    expect((await buildProject(deps, { folder: own })).binaries[0]).toMatchObject({ reused: true });
    await rm(path.join(own, "dist"), { recursive: true });
    const { sha256 } = (await buildProject(deps, { folder: own })).binaries[0] ?? {};
    expect(sha256).toBe(built.binaries[0]?.sha256);
  });

  it("builds for another platform from its wheels, and asks for the ABI of those that are native", async () => {
    const own = await projectWith({
      "pyproject.toml": pyproject('"markupsafe==3.0.2"'),
      "requirements.txt": null,
      "src/shop/main.py": main("import markupsafe"),
    });
    const built = await buildProject(deps, { folder: own, platforms: ["linux-arm64"] });
    const [binary] = built.binaries;
    const minor = Number((await execute(python ?? "", ["-c", "import sys; print(sys.version_info[1])"])).stdout);
    expect(binary?.python).toEqual({ requires: `>=3.${minor},<3.${minor + 1}`, abi: `cp3${minor}` });
    const { stdout } = await execute(python ?? "", ["-m", "zipfile", "-l", binary?.file ?? ""]);
    expect(stdout).toContain("aarch64");
  });

  it("holds to uv.lock, pdm.lock and poetry.lock", async () => {
    const file = `{ file = "idna-3.10-py3-none-any.whl", hash = "sha256:${idnaHash}" }`;
    const locks = {
      "uv.lock": `version = 1\n[[package]]\nname = "idna"\nversion = "3.10"\nsource = { registry = "https://pypi.org/simple" }\nwheels = [{ url = "https://x/idna-3.10-py3-none-any.whl", hash = "sha256:${idnaHash}" }]\n`,
      "pdm.lock": `[[package]]\nname = "idna"\nversion = "3.10"\ngroups = ["default"]\nfiles = [${file}]\n`,
      "poetry.lock": `[[package]]\nname = "idna"\nversion = "3.10"\ngroups = ["main"]\nfiles = [${file}]\n`,
    };
    const builds = Object.entries(locks).map(async ([name, text]) => {
      const words: string[] = [];
      const own = await projectWith({ "requirements.txt": null, [name]: text });
      const built = await buildProject({ ...deps, say: (line) => void words.push(line) }, { folder: own });
      expect(words.at(-1)).toBe("Making the project's wheel");
      expect(words.at(-2)).toContain(`with ${name}`);
      return built.binaries[0]?.sha256;
    });
    const digests = new Set(await Promise.all(builds));
    expect(digests.size).toBe(1);
  });
});

describe.skipIf(python === null)(
  "salt build of a Python project tells what is wrong, where, and what to do:",
  { timeout: 120_000 },
  () => {
    it("a pyproject.toml that is absent, no TOML, or says what cannot be", async () => {
      const absent = await failureOf({ "pyproject.toml": null, "salt.yaml": "name: shop\nlanguage: python\n" });
      expect(absent.message).toContain("there is no pyproject.toml");
      const broken = await failureOf({ "pyproject.toml": "[project]\nname = shop\n" });
      expect(broken.message).toContain("pyproject.toml:2:8: Invalid value");
      expect(broken.message).toContain("2 | name = shop");
      const nameless = await failureOf({ "pyproject.toml": "[project]\nversion = '1'\n" });
      expect(nameless.message).toContain("pyproject.toml:1: project.name is missing");
      const dependency = await failureOf({ "pyproject.toml": pyproject('"idna>>3"') });
      expect(dependency.message).toContain("pyproject.toml:5: project.dependencies: ");
      const text = await failureOf({ "pyproject.toml": pyproject().replace(/\[("idna")\]/, "$1") });
      expect(text.message).toContain("pyproject.toml:5: project.dependencies must be a list");
      const future = await failureOf({ "pyproject.toml": pyproject().replace(">=3.10", ">=3.99") });
      expect(future.message).toMatch(/the project needs Python >=3\.99,>=3\.10, this machine has 3\./);
      expect(future.next).toContain("SALT_PYTHON");
    });

    it("an entry that is missing, or not in the wheel", async () => {
      const missing = await failureOf({ "salt.yaml": "name: shop\nentry: src/shop/mian.py\n" });
      expect(missing.message).toContain("salt.yaml:2:8: the entry src/shop/mian.py does not exist");
      const outside = await failureOf({ "salt.yaml": "name: shop\nentry: tools/flows.py\n", "tools/flows.py": main() });
      expect(outside.message).toContain("the project's wheel has no module 'tools'");
      expect(outside.next).toContain("build backend");
    });

    it("a Python that is not there", async () => {
      const error = await failureOf({}, { SALT_PYTHON: "/nonexistent/python3" });
      expect(error.message).toContain("in SALT_PYTHON (/nonexistent/python3) there is none");
      expect(error.next).toContain("python3-venv");
    });

    it("an error at import, at the project's own line", async () => {
      const failureIn = (text: string) => failureOf({ "src/shop/main.py": text });
      const [thrown, syntax, missing, nothing] = await Promise.all([
        failureIn(main('raise RuntimeError("no database")')),
        failureIn(main("def = 1")),
        failureIn(main("import leftpad_of_nobody")),
        failureIn("import salt\n"),
      ]);
      expect(thrown.message).toContain("src/shop/main.py:2: RuntimeError: no database");
      expect(syntax.message).toContain("src/shop/main.py:2: SyntaxError: invalid syntax");
      expect(missing.message).toContain("ModuleNotFoundError: No module named 'leftpad_of_nobody'");
      expect(missing.next).toContain("project.dependencies in pyproject.toml, then: pip-compile");
      expect(nothing.message).toContain("src/shop/main.py declares no workflow and no task type");
      expect(nothing.next).toContain("@salt.workflow");
    });

    it("what cannot be resolved, in the resolver's words", async () => {
      const [unknown, clash, away] = await Promise.all([
        failureOf({ "pyproject.toml": pyproject('"idna==0.0.1a99"'), "requirements.txt": null }),
        failureOf({ "pyproject.toml": pyproject('"idna==3.9"') }),
        failureOf({ "requirements.txt": null }, { PIP_INDEX_URL: "http://127.0.0.1:9/simple", PIP_RETRIES: "0" }),
      ]);
      expect(unknown.message).toContain("No matching distribution found for idna==0.0.1a99");
      expect(unknown.next).toContain("correct project.dependencies in pyproject.toml");
      expect(clash.message).toContain("idna==3.9");
      expect(clash.next).toContain("bring the lock up to date");
      expect(away.next).toContain("try again with a network");
    });

    it("a lock without a package that is needed, or with another digest", async () => {
      const [stale, forged] = await Promise.all([
        failureOf({ "requirements.txt": "certifi==2024.2.2\n" }),
        failureOf({ "requirements.txt": locked.replace("946d", "946e") }),
      ]);
      expect(stale.message).toMatch(/requirements\.txt does not have idna \S+, which the project needs/);
      expect(forged.message).toContain("THESE PACKAGES DO NOT MATCH THE HASHES");
    });
  },
);
