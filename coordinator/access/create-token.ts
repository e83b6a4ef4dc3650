import { partitionAt } from "#shared/domain/ids.ts";
import type { Random } from "#shared/ports.ts";
import type { CreatedToken, CreateTokenRequest } from "#shared/protocol/api.ts";
import { keyIn } from "../engine/engine.ts";
import { at, type DraftWrite, type Move, type Mover } from "../engine/move.ts";
import { auditWrite } from "../state/audit.ts";
import {
  hashOf,
  newTokenText,
  type TokenRecord,
  tokenIdOf,
  tokenKey,
  tokenPartition,
  tokensIndex,
  tokenView,
} from "./tokens.ts";

export interface CreateTokenDeps {
  readonly mover: Mover;
  readonly random: Random;
  readonly partitions: number;
}

interface NewToken {
  readonly id: string;
  readonly hash: string;
  readonly request: CreateTokenRequest;
  readonly by: string;
  readonly partitions: number;
}

function recordOf(input: NewToken, nowMs: number): TokenRecord {
  const { request } = input;
  const createdAtMs = Math.round(nowMs);
  return {
    id: input.id,
    hash: input.hash,
    name: request.name,
    role: request.role,
    createdAtMs,
    createdBy: input.by,
    expiresAtMs: request.expiresInMs === undefined ? null : createdAtMs + request.expiresInMs,
  };
}

function writesOf(record: TokenRecord, partitions: number): DraftWrite[] {
  const partition = tokenPartition(partitions, record.id);
  return [
    { kind: "set", key: tokenKey(partition, record.id), value: record },
    { kind: "rank", index: tokensIndex(partition), member: record.id, score: at(record.createdAtMs) },
    auditWrite(partition, {
      actor: record.createdBy,
      action: "token.create",
      object: record.id,
      after: tokenView(record),
    }),
  ];
}

const createMove: Move<NewToken, TokenRecord> = {
  name: "createToken",
  reads: (input) => [tokenKey(tokenPartition(input.partitions, input.id), input.id)],
  decide(view, input) {
    const known = view.get<TokenRecord>(tokenKey(tokenPartition(input.partitions, input.id), input.id));
    if (known) return { transactions: [], answer: () => known };
    const record = recordOf(input, view.nowMs);
    return { transactions: [{ checks: [], writes: writesOf(record, input.partitions) }], answer: () => record };
  },
};

/** Makes a token; its text is in the answer and nowhere else. */
export async function createToken(
  deps: CreateTokenDeps,
  request: CreateTokenRequest & { readonly by: string },
): Promise<CreatedToken> {
  const token = newTokenText(deps.random);
  const hash = hashOf(token);
  const id = tokenIdOf(hash);
  const input: NewToken = { id, hash, request, by: request.by, partitions: deps.partitions };
  const record = await deps.mover.move(tokenPartition(deps.partitions, id), createMove, input);
  return { ...tokenView(record), token };
}

/** Where it is remembered that a first token was made. */
const firstPartition = partitionAt(0);
const firstTokenKey = keyIn(firstPartition, "first-token");

const firstMove: Move<{ readonly id: string }, boolean> = {
  name: "claimFirstToken",
  // What it answers without writing must not rest on a record that another coordinator has changed.
  fresh: true,
  reads: () => [firstTokenKey],
  decide(view, input) {
    const made = view.get<{ id: string }>(firstTokenKey);
    if (made) return { transactions: [], answer: () => made.id === input.id };
    const writes: DraftWrite[] = [{ kind: "set", key: firstTokenKey, value: { id: input.id } }];
    return { transactions: [{ checks: [], writes }], answer: () => true };
  },
};

/**
 * The first administrator's token, made at the very first start of a coordinator on its engine; null ever after, also
 * when all tokens were revoked. Who takes the mark makes the token, so that of several coordinators one prints it.
 */
export async function ensureFirstToken(deps: CreateTokenDeps): Promise<string | null> {
  const mark = Buffer.from(deps.random.bytes(16)).toString("hex");
  if (!(await deps.mover.move(firstPartition, firstMove, { id: mark }))) return null;
  const { token } = await createToken(deps, { name: "first admin", role: "admin", by: "coordinator" });
  return token;
}
