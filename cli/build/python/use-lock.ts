import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { SaltError } from "#shared/domain/errors.ts";

export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  /** When it is meant; null for always. */
  readonly marker: string | null;
  /** `sha256:…` of its files; none where the lock has none. */
  readonly hashes: readonly string[];
}

export interface Lock {
  /** Null: the project has none. */
  readonly file: string | null;
  readonly packages: readonly LockedPackage[];
}

const remedies: Readonly<Record<string, string>> = {
  "uv.lock": "uv lock",
  "pdm.lock": "pdm lock",
  "poetry.lock": "poetry lock",
  "requirements.txt": "pip-compile --generate-hashes pyproject.toml",
};

/** The command that brings a lock up to date. */
export const remedyOf = (file: string): string => remedies[file] ?? "lock again";

/** Versions that hold; the salt-py of a lock does not, as the SDK is that of the Salt that builds. */
export const constraintsOf = (packages: readonly LockedPackage[]): string[] =>
  packages
    .filter(({ name }) => name !== "salt-py")
    .map(({ name, version, marker }) => `${name}==${version}${marker === null ? "" : ` ; ${marker}`}`);

/** As pip reads it: one line a package, with the digest of its file. */
export const requirementLines = (packages: readonly LockedPackage[]): string[] =>
  packages.map(({ name, version, hashes }) =>
    [`${name}==${version}`, ...hashes.map((hash) => `--hash=${hash}`)].join(" "),
  );

/**
 * Holds what is in a PEX against the lock. `BuildFailed` for a package that the lock does not have, or has in another
 * version. Answers whether each file is one that the lock names by digest; one built from sources here is none of them.
 */
export function checkLocked(lock: Lock, found: readonly LockedPackage[]): boolean {
  let isProven = true;
  for (const { name, version, hashes } of found) {
    const locked = lock.packages.filter((one) => one.name === name && one.version === version);
    if (locked.length === 0) {
      throw new SaltError(
        "BuildFailed",
        `Cannot build: ${lock.file} does not have ${name} ${version}, which the project needs.`,
        {
          next: `bring the lock up to date: ${remedyOf(lock.file ?? "")}`,
        },
      );
    }
    const known = locked.flatMap((one) => one.hashes);
    if (known.length > 0 && !hashes.every((hash) => known.includes(hash))) isProven = false;
  }
  return isProven;
}

/** All that the lock says of the packages that were found, with the digests of its files. */
export const provenLines = (lock: Lock, found: readonly LockedPackage[], own: readonly LockedPackage[]): string[] =>
  requirementLines(
    found.map((one) => {
      const isOwn = own.some(({ name }) => name === one.name);
      const locked = isOwn
        ? [one]
        : lock.packages.filter(({ name, version }) => name === one.name && version === one.version);
      return { ...one, hashes: locked.flatMap(({ hashes }) => hashes) };
    }),
  );

/** What was resolved for a project without a lock, kept for as long as what it asks for is the same. */
export const resolvedBefore = {
  async read(file: string, asked: string): Promise<readonly string[]> {
    const [first, ...lines] = (await readFile(file, "utf8").catch(() => "")).trimEnd().split("\n");
    return first === `# ${asked}` ? lines : [];
  },
  async write(file: string, asked: string, lines: readonly string[]): Promise<void> {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, `${[`# ${asked}`, ...lines].join("\n")}\n`);
  },
};

export const resolvedFile = (folder: string, platform: string): string =>
  path.join(folder, ".salt", "cache", `resolved-${platform}.txt`);
