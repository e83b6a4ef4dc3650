import type { AgentId } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { BinaryFiles } from "./cache/binary-files.ts";
import type { BlobClient } from "./cache/blob-client.ts";
import type { Python } from "./cache/find-pythons.ts";
import type { PexFiles } from "./cache/pex-files.ts";
import type { Dial } from "./connection/dial.ts";
import type { Values } from "./runner/program-values.ts";

/**
 * The machine under an agent: what the agent's logic meets of it, so that a cluster of agents can be simulated from a
 * seed (C27). `system-machine.ts` is the real one.
 */
export interface Machine {
  readonly dial: Dial;
  readonly disk: Disk;
  readonly processes: Processes;
  /** `NotAllowed` when the folder is not safe, `Conflict` when a living agent uses it. */
  openDataFolder(path: string, deps: { clock: Clock; random: Random }): Promise<DataFolder>;
  createBlobClient(target: { url: string; token: string }, deps: { clock: Clock; random: Random }): BlobClient;
  createBinaryFiles(folder: string): BinaryFiles;
  /** The Pythons of this machine. */
  findPythons(): Promise<readonly Python[]>;
  readonly pexFiles: PexFiles;
  createValues(deps: { blobs: BlobClient; folder: string }): Values;
  /** Keeps the agent's process from ending while it has nothing but pending timers, as between two dials. */
  keepAlive(): { release(): void };
}

export interface DataFolder {
  readonly path: string;
  readonly id: AgentId;
  /** Private, with a path short enough for Unix sockets (108 bytes on Linux, 104 on macOS). */
  readonly socketFolder: string;
  close(): void;
}

/** Small files. What was not said to be durable outlives the agent, and is lost with the machine. */
export interface Disk {
  makeFolder(path: string): Promise<void>;
  /** Names in a folder; none when there is no such folder. */
  list(folder: string): Promise<string[]>;
  /** Null when there is no such file. */
  read(file: string): Promise<string | null>;
  /** Synchronous: it is there before anything else is heard. */
  write(file: string, text: string): void;
  /** Replaces a file so that a crash leaves the old text or the new. Durable when it resolves. */
  writeDurably(file: string, text: string): Promise<void>;
  /** Removes a file, or a folder and what is in it; nothing happens when it is not there. */
  remove(path: string): Promise<void>;
  openLines(file: string): LinesFile;
}

/** A file that lines are appended to. Synchronous, as the order of its lines is that of what they tell. */
export interface LinesFile {
  /** What it held when it was opened. */
  readonly text: string;
  append(text: string): void;
  /** Puts other text in its place, in one step. */
  replace(text: string): void;
  close(): void;
}

export type StreamName = "stdout" | "stderr";
export const streamNames: readonly StreamName[] = ["stdout", "stderr"];

/** How a program ended. Null for what cannot be known, as after a restart of the machine. */
export interface ProgramExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Tells one process from another that is later given the same number (A22). */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTime: string;
  readonly bootId: string;
}

export interface LaunchOptions {
  readonly binary: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly stdout: string;
  readonly stderr: string;
  /** Where the exit status is written, so that an agent that was away learns it. */
  readonly exitFile: string;
}

/** Programs, each in a process group of its own, and what the agent has in common with them. */
export interface Processes {
  /** Of this boot of the machine; empty where none can be told. */
  readonly bootId: string;
  /** Null when it could not be started. `exited` is called once, with null when it could not be. */
  launch(options: LaunchOptions, exited: (exit: ProgramExit | null) => void): { readonly pid: number } | null;
  /** Signals every process of the group; false when there is none. */
  signalGroup(pid: number, signal: NodeJS.Signals): boolean;
  /** Null when there is no such process. */
  identify(pid: number): ProcessIdentity | null;
  /** What a program that has ended left in its exit file, or null when it did not come to that. */
  readExit(exitFile: string): ProgramExit | null;
  /** Listens for the program's connections at `path`, in place of what an earlier life left there. */
  listen(path: string, met: (socket: ProgramLink) => void): Promise<{ close(): void }>;
  openLogFiles(folder: string, changed: () => void): LogFiles;
  /** Work folders of a new process, or, with `given`, of one that is at work: those folders stay its attempts'. */
  openWorkFolders(root: string, given?: readonly string[]): WorkFolders;
}

/** One connection of a program, as a stream of bytes. A `net.Socket` is one. */
export interface ProgramLink {
  on(event: "data", listener: (bytes: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  off(event: "data", listener: (bytes: Buffer) => void): unknown;
  once(event: "close", listener: () => void): unknown;
  write(text: string): unknown;
  pause(): unknown;
  resume(): unknown;
  destroy(): unknown;
}

/** The files that hold a program's output, for reading. */
export interface LogFiles {
  size(stream: StreamName): number;
  /** At most as many bytes as fit into `into`. */
  read(stream: StreamName, position: number, into: Uint8Array): number;
  close(): void;
}

/** The work folders of one process: each is given to one work at a time, empty. */
export interface WorkFolders {
  /** The lowest free folder, so that tasks given one at a time all have the process's own. */
  give(): string;
  /** Takes a folder back; a promise when it has to be emptied first. */
  take(path: string): Promise<void> | null;
  close(): void;
}
