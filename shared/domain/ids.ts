import { createHash } from "node:crypto";
import type { Clock, Random } from "../ports.ts";

declare const brand: unique symbol;
type Brand<Name extends string> = string & { readonly [brand]: Name };

/** `run_<partition><26 Crockford digits>`: the partition (two base-32 digits) is part of the id, so their number may grow. */
export type RunId = Brand<"RunId">;
/** `<RunId>/<call key>`: a task is identified by the call that made it, so that publishing it twice is the same task. */
export type TaskId = Brand<"TaskId">;
/** A call's key within its run: an explicit key, or `<name>#<n>` for the n-th call of that name, counted from 1. */
export type CallKey = Brand<"CallKey">;
export type AgentId = Brand<"AgentId">;
/** 64 lower-case hex digits. */
export type Sha256 = Brand<"Sha256">;
/** `p0` … : the unit of atomic commits. */
export type Partition = Brand<"Partition">;

/** The call key of a run's own workflow task. User keys cannot begin with `@`. */
export const workflowKey = "@workflow" as CallKey;

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

function base32(bytes: Uint8Array): string {
  let text = "";
  let buffer = 0;
  let bits = 0;
  for (const byte of bytes) {
    buffer = (buffer << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      text += alphabet[(buffer >> bits) & 31];
      buffer &= (1 << bits) - 1;
    }
  }
  return bits > 0 ? text + alphabet[(buffer << (5 - bits)) & 31] : text;
}

/** The 16 bytes of a UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits. */
function uuid7(clock: Clock, random: Random): Uint8Array {
  const bytes = Uint8Array.from(random.bytes(16));
  const view = new DataView(bytes.buffer);
  const nowMs = clock.nowMs();
  view.setUint16(0, Math.floor(nowMs / 2 ** 32));
  view.setUint32(2, nowMs % 2 ** 32);
  view.setUint8(6, 0x70 | (view.getUint8(6) & 0x0f));
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f));
  return bytes;
}

/** A new id `<prefix>_<26 digits>` that sorts by the time of its making. */
export function newId(prefix: string, clock: Clock, random: Random): string {
  return `${prefix}_${base32(uuid7(clock, random))}`;
}

const partitionDigits = (partition: Partition): string => {
  const index = Number(partition.slice(1));
  return `${alphabet[index >> 5]}${alphabet[index & 31]}`;
};

export const partitionAt = (index: number): Partition => `p${index}` as Partition;

export function newRunId(partition: Partition, clock: Clock, random: Random): RunId {
  return `run_${partitionDigits(partition)}${base32(uuid7(clock, random))}` as RunId;
}

/** The id that every attempt to open the same run arrives at: a run under an idempotency key, an occasion, or a child. */
export function derivedRunId(partition: Partition, ...identity: readonly string[]): RunId {
  const digest = createHash("sha256").update(JSON.stringify(identity)).digest().subarray(0, 16);
  return `run_${partitionDigits(partition)}${base32(digest)}` as RunId;
}

const runPattern = /^run_([0-9a-hjkmnp-tv-z])([0-9a-hjkmnp-tv-z])[0-9a-hjkmnp-tv-z]{26}$/;

export const isRunId = (text: string): text is RunId => runPattern.test(text);

export function partitionOf(run: RunId): Partition {
  return partitionAt(alphabet.indexOf(run[4] ?? "") * 32 + alphabet.indexOf(run[5] ?? ""));
}

/** The partition of what has no run: one of `count`, by hash, so that slots spread evenly. */
export function partitionFor(count: number, ...identity: readonly string[]): Partition {
  if (count === 1) return partitionAt(0);
  return partitionAt(createHash("sha256").update(JSON.stringify(identity)).digest().readUInt32BE(0) % count);
}

export const taskId = (run: RunId, key: CallKey): TaskId => `${run}/${key}` as TaskId;
export const runOfTask = (task: TaskId): RunId => task.slice(0, 32) as RunId;
export const keyOfTask = (task: TaskId): CallKey => task.slice(33) as CallKey;

export const sha256 = (bytes: Uint8Array | string): Sha256 =>
  createHash("sha256").update(bytes).digest("hex") as Sha256;
export const isSha256 = (text: string): text is Sha256 => /^[0-9a-f]{64}$/.test(text);
