/** Salt's SDK for TypeScript: what a project imports as `@salt/sdk`. */
export { z } from "zod";
export { SaltError } from "#shared/domain/errors.ts";
export { UnencodableValue } from "#shared/values/errors.ts";
export { Decimal, Duration, FileValue } from "#shared/values/types.ts";
export type { Argument, Ref } from "./declare/argument.ts";
export { type CheckFinding, type CheckFunction, check } from "./declare/check.ts";
export { type Task, type TaskCallOptions, type TaskDeclaration, task } from "./declare/declare-task.ts";
export {
  type Workflow,
  type WorkflowCallOptions,
  type WorkflowDeclaration,
  workflow,
} from "./declare/declare-workflow.ts";
export { fileSchema } from "./declare/file-schema.ts";
export {
  CancelledError,
  DuplicateCallKey,
  fatal,
  InvalidInput,
  JournalTooLong,
  NonDeterministicWorkflow,
  NonRetryableError,
  RemoteError,
  TaskFailed,
  TimedOut,
  ValidationError,
} from "./failures/errors.ts";
export type { TaskContext } from "./task/task-context.ts";
export {
  call,
  type EventOptions,
  emit,
  type ForeignCallOptions,
  file,
  now,
  progress,
  random,
  restart,
  shielded,
  sleep,
  sleepUntil,
  uuid,
  type WaitOptions,
  waitForEvent,
  waitForSignal,
} from "./workflow/workflow-api.ts";
