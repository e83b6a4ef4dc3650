import type { FileValue } from "#shared/values/types.ts";

/** What a task's function is given besides its input. */
export interface TaskContext {
  /** Aborted when the attempt is to end (cancel, timeout, a lost lease). Pass it to whatever can be interrupted. */
  readonly signal: AbortSignal;
  /** Counted from 1. */
  readonly attempt: number;
  /** The attempt's own folder, empty at first, and the working directory. An absolute path. */
  readonly folder: string;
  /** `run_…/key`, for people and logs. */
  readonly task: string;
  /** Shows how far the task is: a fraction from 0 to 1, a message, or both. */
  progress(fraction: number, message?: string): void;
  progress(message: string): void;
  /** Sends a value out of the task before it ends. The same key is sent once, also over attempts. Default key: `<name>#<n>`. */
  emit(name: string, value: unknown, options?: { readonly key?: string }): void;
  /** Writes one line to the task's log. */
  log(message: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Makes a file of the working folder part of the output: `return { report: await file("report.csv") }`. */
  file(path: string, options?: { readonly name?: string; readonly mediaType?: string }): Promise<FileValue>;
  /** The path of a file that came with the input, fetched if it has to be. */
  pathOf(file: FileValue): Promise<string>;
}
