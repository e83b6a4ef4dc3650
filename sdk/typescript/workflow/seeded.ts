import { createHmac } from "node:crypto";

const hmac = (seed: string, key: string): Buffer => createHmac("sha256", seed).update(key).digest();

/** The `n`-th random number of a run, in [0, 1): the first 53 bits of HMAC-SHA256(seed, `random#<n>`) over 2^53. */
export function seededRandom(seed: string, n: number): number {
  const bytes = hmac(seed, `random#${n}`);
  return Number(bytes.readBigUInt64BE(0) >> 11n) / 2 ** 53;
}

/** The `n`-th UUID of a run: the first 16 bytes of HMAC-SHA256(seed, `uuid#<n>`) with the marks of version 4. */
export function seededUuid(seed: string, n: number): string {
  const bytes = hmac(seed, `uuid#${n}`).subarray(0, 16);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
