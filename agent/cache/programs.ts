import { SaltError } from "#shared/domain/errors.ts";
import type { Sha256 } from "#shared/domain/ids.ts";
import { newestPython } from "#shared/domain/python-versions.ts";
import type { AgentDeps } from "../options.ts";
import type { BinaryCache } from "./binary-cache.ts";
import type { Python } from "./find-pythons.ts";
import type { PexFiles } from "./pex-files.ts";

/** What has to be executed: a binary, and the Pythons that it works with when it is a PEX. */
export interface ProgramNeed {
  readonly binary: Sha256;
  readonly python?: string;
}

/**
 * How the binaries of the cache are executed: as they are, or, of a PEX, what it was unpacked to.
 *
 * G1  A command is handed out only of what was verified in this life of the agent (B1), or unpacked in it from a PEX that was.
 * G2  A PEX is unpacked once for each Python, also when several wait for it; its trees count as its bytes, and are given up
 *     with it (B3).
 */
export class Programs {
  readonly #cache: BinaryCache;
  readonly #files: PexFiles;
  readonly #pythons: readonly Python[];
  readonly #deps: AgentDeps;
  /** Trees verified in this life, by path of their PEX and version. */
  readonly #trees = new Map<string, Promise<void> | "ready">();

  constructor(deps: AgentDeps & { cache: BinaryCache; files: PexFiles }, pythons: readonly Python[]) {
    this.#deps = deps;
    this.#cache = deps.cache;
    this.#files = deps.files;
    this.#pythons = pythons;
  }

  /** While it is pinned, a binary and what it was unpacked to stay. */
  pin(binary: Sha256): void {
    this.#cache.pin(binary);
  }

  unpin(binary: Sha256): void {
    this.#cache.unpin(binary);
  }

  /** The versions of Python that are there. */
  get pythons(): string[] {
    return this.#pythons.map(({ version }) => version);
  }

  /** The command that executes a program, when it needs no waiting; else null. */
  ready(need: ProgramNeed): readonly string[] | null {
    const path = this.#cache.ready(need.binary);
    if (path === null || need.python === undefined) return path === null ? null : [path];
    const python = this.#pythonFor(need.python);
    return this.#trees.get(keyOf(need.binary, python)) === "ready" ? this.#files.command(path, python) : null;
  }

  /** Waits until it is ready. Thrown: as by `BinaryCache.acquire`, and `BadRequest` when no Python fits or none can unpack it. */
  async acquire(need: ProgramNeed & { readonly bytes: number }, signal: AbortSignal): Promise<void> {
    const path = await this.#cache.acquire(need.binary, need.bytes, signal);
    if (need.python === undefined) return;
    const python = this.#pythonFor(need.python);
    const key = keyOf(need.binary, python);
    const tree = this.#trees.get(key) ?? this.#makeReady(need.binary, path, python);
    this.#trees.set(key, tree);
    await tree;
  }

  #makeReady(binary: Sha256, path: string, python: Python): Promise<void> {
    const key = keyOf(binary, python);
    // Given up with what it is made of only: while it is made, that stays.
    this.#cache.pin(binary);
    const made = this.#unpack(binary, path, python)
      .then(() => {
        this.#trees.set(key, "ready");
        this.#cache.onRemoved(binary, () => this.#trees.delete(key));
      })
      .catch((error) => {
        this.#trees.delete(key);
        throw error;
      })
      .finally(() => this.#cache.unpin(binary));
    return made;
  }

  async #unpack(binary: Sha256, path: string, python: Python): Promise<void> {
    if (await this.#files.verify(path, python)) return;
    this.#deps.logger.info({ binary, python: python.version }, "Unpacking a PEX");
    const bytes = await this.#files.unpack(path, python);
    await this.#cache.grow(binary, bytes);
  }

  #pythonFor(requires: string): Python {
    const version = newestPython(this.pythons, requires);
    const python = this.#pythons.find((one) => one.version === version);
    if (python) return python;
    throw new SaltError("BadRequest", `Cannot execute the PEX: this machine has no Python ${requires}.`, {
      next: "install one, and start the agent again",
    });
  }
}

const keyOf = (binary: Sha256, { version }: Python): string => `${binary} ${version}`;
