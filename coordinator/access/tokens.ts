import { type Partition, partitionFor, sha256 } from "#shared/domain/ids.ts";
import type { Random } from "#shared/ports.ts";
import type { Role, TokenView } from "#shared/protocol/api.ts";
import { type Key, keyIn } from "../engine/engine.ts";

/**
 * A token is 160 random bits that are shown once. What is stored is their SHA-256; the token's id is the beginning of
 * that hash, so that one read finds the record, and reveals nothing.
 */
export interface TokenRecord {
  readonly id: string;
  readonly hash: string;
  readonly name: string;
  readonly role: Role;
  readonly createdAtMs: number;
  readonly createdBy: string;
  readonly expiresAtMs: number | null;
}

const idHexDigits = 26;
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
const tokenPattern = /^salt_[0-9a-z]{32}$/;

export function newTokenText(random: Random): string {
  let text = "salt_";
  for (const byte of random.bytes(32)) text += alphabet[byte & 31];
  return text;
}

export const isTokenText = (text: string): boolean => tokenPattern.test(text);
export const tokenIdOf = (hash: string): string => `tok_${hash.slice(0, idHexDigits)}`;
export const hashOf = (token: string): string => sha256(token);

export const tokenPartition = (partitions: number, id: string): Partition => partitionFor(partitions, "token", id);
export const tokenKey = (partition: Partition, id: string): Key => keyIn(partition, `token/${id}`);
/** Tokens ranked by the time of their making. */
export const tokensIndex = (partition: Partition): Key => keyIn(partition, "tokens");

export const tokenView = (record: TokenRecord): TokenView => ({
  id: record.id,
  name: record.name,
  role: record.role,
  createdAtMs: record.createdAtMs,
  createdBy: record.createdBy,
  expiresAtMs: record.expiresAtMs,
});
