import { hash } from "node:crypto";
import type { Sha256 } from "#shared/domain/ids.ts";
import { limits } from "#shared/domain/limits.ts";
import type { ProgramCall } from "#shared/protocol/task.ts";
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
        ...(body.refs.length > 0 ? { refs: [...body.refs] } : {}),
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

const callsPerFrameMax = 256;
const frameBytesMax = limits.frameBytesMax / 2;

/** Cuts calls into frames of at most 256 calls and about 512 KiB. */
export function inBatches(calls: readonly ProgramCall[]): ProgramCall[][] {
  const batches: ProgramCall[][] = [];
  let batch: ProgramCall[] = [];
  let bytes = 0;
  for (const call of calls) {
    const size = 300 + ("input" in call && "json" in call.input ? call.input.json.length : 0);
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
