import type { Sha256 } from "#shared/domain/ids.ts";
import type { Platform } from "#shared/protocol/common.ts";
import type { PythonNeed } from "#shared/protocol/manifest.ts";
import type { Described } from "./describe-binary.ts";

export interface BuildDeps {
  readonly env: NodeJS.ProcessEnv;
  /** Called with a line for people at each step. */
  readonly say: (line: string) => void;
  readonly nowMs: () => number;
}

export interface BuiltBinary {
  readonly platform: Platform;
  /** Absolute. */
  readonly file: string;
  readonly sha256: Sha256;
  readonly bytes: number;
  /** Nothing had changed since it was made. */
  readonly reused: boolean;
  /** Of a PEX. */
  readonly python?: PythonNeed;
}

/** A binary that is made, and not yet where it belongs. */
export interface Staged {
  readonly made: BuiltBinary;
  /** Where it is until the whole build is right. Null: it was there before, and nothing has changed. */
  readonly partial: string | null;
  /** What it was made from; null for what is made anew each time. */
  readonly inputs: string | null;
}

/** What a language brings to the build of one project, whose sources have been read and checked. */
export interface Toolchain {
  /** Makes the binary for a platform in a folder, as a partial file. */
  stage(platform: Platform, folder: string): Promise<Staged>;
  /** A binary for this machine alone that is made sooner, where the language has such. */
  stageScript?: (folder: string) => Promise<Staged>;
  /** Asks the program what it declares. */
  describe(staged: readonly Staged[]): Promise<Described>;
  /** How a workflow is declared, for who has none. */
  readonly declareHint: string;
  /** Removes what the build needed on its way. */
  close?: () => Promise<void>;
}
