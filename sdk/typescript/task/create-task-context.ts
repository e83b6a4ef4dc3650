import type { ProgramFrame, Work } from "#shared/protocol/task.ts";
import { encodeValue } from "#shared/values/encode-value.ts";
import { FileValue } from "#shared/values/types.ts";
import { CancelledError } from "../failures/errors.ts";
import { type Texts, toProgramValue } from "../program/texts.ts";
import { assertEmitKey, assertName } from "../workflow/check-call.ts";
import type { TaskDeps } from "./execute-task.ts";
import type { TaskContext } from "./task-context.ts";

/** What a task can do with the machine. The socket and the local run each provide it. */
export interface TaskHost {
  readonly texts: Texts;
  send(frame: ProgramFrame): void;
  /** Sends a frame that is kept until it is accepted. */
  emit(frame: Extract<ProgramFrame, { t: "emit" }>): void;
  /** Hashes a file of the working folder. `path` is relative to the folder, or absolute. */
  hashFile(folder: string, path: string): Promise<{ sha256: FileValue["sha256"]; bytes: number; path: string }>;
  /** The path of a file's bytes, fetched through the agent. */
  fetchFile(argsId: string, file: FileValue): Promise<string>;
  writeLine(line: string): void;
}

export interface RunningTask extends TaskDeps {
  cancel(reason: string): void;
}

/** The context of one attempt, with the means to cancel it. */
export function createTaskContext(host: TaskHost, work: Work): RunningTask {
  let controller: AbortController | null = null;
  let cancelled: CancelledError | null = null;
  const made = new Map<FileValue, string>();
  const { argsId, folder } = work;
  const emitted = new Map<string, number>();
  const context: TaskContext = {
    attempt: work.attempt,
    folder,
    task: work.task,
    get signal() {
      controller ??= new AbortController();
      if (cancelled !== null && !controller.signal.aborted) controller.abort(cancelled);
      return controller.signal;
    },
    progress(first: number | string, second?: string) {
      const message = typeof first === "string" ? first : second;
      host.send({
        t: "progress",
        argsId,
        ...(typeof first === "number" && !Number.isNaN(first) ? { fraction: Math.min(1, Math.max(0, first)) } : {}),
        ...(message === undefined ? {} : { message: message.slice(0, 1_000) }),
      });
    },
    emit(name, value, options = {}) {
      assertName("value's", name);
      const n = (emitted.get(name) ?? 0) + 1;
      emitted.set(name, n);
      const key = options.key ?? `${name}#${n}`;
      assertEmitKey(key);
      const text = encodeValue(value);
      host.emit({
        t: "emit",
        argsId,
        key,
        name,
        value: toProgramValue(host.texts, folder, text),
      });
    },
    log(message, fields) {
      host.writeLine(fields === undefined ? message : `${message} ${JSON.stringify(fields)}`);
    },
    async file(path, options = {}) {
      const { path: absolute, ...hashed } = await host.hashFile(folder, path);
      const file = new FileValue({
        ...hashed,
        name: options.name ?? baseName(path),
        mediaType: options.mediaType ?? null,
      });
      made.set(file, absolute);
      return file;
    },
    pathOf: async (file) => made.get(file) ?? host.fetchFile(argsId, file),
  };
  return {
    texts: host.texts,
    context,
    madeFile: (file) => made.get(file) ?? null,
    cancelled: () => cancelled,
    cancel(reason) {
      cancelled ??= new CancelledError(reason, "The task was cancelled");
      controller?.abort(cancelled);
    },
  };
}

const baseName = (path: string): string => path.split(/[\\/]/).at(-1) ?? path;
