import { hash } from "node:crypto";
import type { CallKey, Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { ProgramCall, ProgramValue } from "#shared/protocol/task.ts";
import { type Texts, toProgramValue } from "../program/texts.ts";
import type { CallBody, WorkflowCall } from "./workflow-call.ts";

/** The text whose digest tells, on replay, whether a call is still made with the same arguments. */
export function digestedText(body: CallBody): string {
  switch (body.kind) {
    case "task":
    case "workflow":
      return body.text;
    case "sleep":
      return JSON.stringify(body.forMs === undefined ? { untilMs: body.untilMs } : { forMs: body.forMs });
    case "signal":
      return JSON.stringify({ name: body.name, timeoutMs: body.timeoutMs });
    case "event":
      return JSON.stringify({ name: body.name, match: body.match, timeoutMs: body.timeoutMs });
  }
}

export const digestOf = (body: CallBody): Sha256 => hash("sha256", digestedText(body)) as Sha256;

/** A call as it is sent: its argument inline or in a file of the work folder. */
export function callFrame(call: WorkflowCall, body: CallBody, to: { texts: Texts; folder: string }): ProgramCall {
  const head = { key: call.key, digest: call.digest, ...(call.shielded ? { shielded: true } : {}) };
  switch (body.kind) {
    case "task":
    case "workflow": {
      const common = {
        ...head,
        name: body.name,
        input: toProgramValue(to.texts, to.folder, body.text),
        ...refsFields(body.refs, to),
        ...(call.deferred === null ? {} : { awaited: true }),
        ...(body.detached ? { detached: true } : {}),
      };
      if (body.kind === "workflow") return { ...common, kind: "workflow" };
      return { ...common, kind: "task", ...(body.options === undefined ? {} : { options: body.options }) };
    }
    case "sleep":
      return { ...head, ...body };
    case "signal":
      return { ...head, ...body };
    case "event": {
      const { match, ...rest } = body;
      return { ...head, ...rest, ...(match === undefined ? {} : { match: { ...match } }) };
    }
  }
}

/** Many refs travel as a value of their own: a line has room for few of them. */
function refsFields(
  refs: readonly CallKey[],
  to: { texts: Texts; folder: string },
): Pick<Extract<ProgramCall, { kind: "task" }>, "refs" | "manyRefs"> {
  if (refs.length === 0) return {};
  if (refs.length <= limits.refsInlineMax) return { refs: [...refs] };
  return { manyRefs: toProgramValue(to.texts, to.folder, JSON.stringify(refs)) };
}

const callsPerFrameMax = 256;
const frameBytesMax = limits.frameBytesMax / 2;

/** Cuts calls into frames of at most 256 calls and about 512 KiB. */
export function inBatches(calls: readonly ProgramCall[]): ProgramCall[][] {
  const batches: ProgramCall[][] = [];
  let batch: ProgramCall[] = [];
  let bytes = 0;
  for (const call of calls) {
    const size = 300 + charsOf(call);
    if (batch.length > 0 && (batch.length >= callsPerFrameMax || bytes + size > frameBytesMax)) {
      batches.push(batch);
      batch = [];
      bytes = 0;
    }
    batch.push(call);
    bytes += size;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}

function charsOf(call: ProgramCall): number {
  if (!("input" in call)) return 0;
  const { input, refs = [], manyRefs } = call;
  const chars = (value: ProgramValue | undefined) => (value && "json" in value ? value.json.length : 0);
  return chars(input) + chars(manyRefs) + refs.reduce((sum, key) => sum + key.length + 3, 0);
}
