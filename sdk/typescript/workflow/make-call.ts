import type { CallKey } from "#shared/domain/ids.ts";
import type { TaskCallOptions } from "../declare/declare-task.ts";
import type { WorkflowCallOptions } from "../declare/declare-workflow.ts";
import { digestOf } from "./call-frames.ts";
import { assertOptions } from "./check-call.ts";
import type { CallBody, WorkflowCall } from "./workflow-call.ts";

/** What the API adds to what the user's code says of a call. */
export interface CallSite {
  readonly shielded: boolean;
  /** Makes of the decoded output what the code gets. Default: the output itself. */
  readonly accept?: ((value: unknown) => unknown) | undefined;
}

export type TaskRequest = TaskCallOptions & CallSite;
export type WorkflowRequest = WorkflowCallOptions & CallSite;
export type WaitRequest = CallSite & { readonly key: string | undefined };

type Encoded = { readonly text: string; readonly refs: readonly CallKey[] };

export function taskBody(name: string, { text, refs }: Encoded, request: TaskRequest): CallBody {
  const { key: _key, detached = false, shielded: _shielded, accept: _accept, ...options } = request;
  const body = { kind: "task", name, text, refs, detached } as const;
  if (Object.keys(options).length === 0) return body;
  assertOptions(name, options);
  return { ...body, options };
}

/** What keys without an explicit one are counted by; `/` is not allowed in a key. */
export function baseOf(body: CallBody): string {
  switch (body.kind) {
    case "task":
    case "workflow":
      return body.name.replace("/", ":");
    case "sleep":
      return "sleep";
    default:
      return `${body.kind}:${body.name}`;
  }
}

export const newCall = (key: CallKey, body: CallBody, site: CallSite): WorkflowCall => ({
  key,
  kind: body.kind,
  name: body.kind === "sleep" ? "sleep" : body.name,
  digest: digestOf(body),
  shielded: site.shielded,
  accept: site.accept ?? ((value) => value),
  state: "open",
  outcome: null,
  deferred: null,
  body,
  stage: "unsent",
});
