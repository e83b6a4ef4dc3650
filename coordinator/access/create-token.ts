import type { Random } from "#shared/ports.ts";
import type { CreatedToken, CreateTokenRequest, TokenView } from "#shared/protocol/api.ts";
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
  return { ...(await keepToken(deps, token, request)), token };
}

/** Remembers a token by its hash. One that is known already stays as it is. */
export async function keepToken(
  deps: Pick<CreateTokenDeps, "mover" | "partitions">,
  token: string,
  request: CreateTokenRequest & { readonly by: string },
): Promise<TokenView> {
  const hash = hashOf(token);
  const id = tokenIdOf(hash);
  const input: NewToken = { id, hash, request, by: request.by, partitions: deps.partitions };
  return tokenView(await deps.mover.move(tokenPartition(deps.partitions, id), createMove, input));
}
