import { partitionAt } from "#shared/domain/ids.ts";
import type { Clock, Random } from "#shared/ports.ts";
import type { AuditRow, CreatedToken, CreateTokenRequest, TokenView } from "#shared/protocol/api.ts";
import type { Engine } from "../engine/engine.ts";
import type { Mover } from "../engine/move.ts";
import { mergeRange } from "../state/merge-range.ts";
import { authenticate, type Principal, TokenCache } from "./authenticate.ts";
import { createToken } from "./create-token.ts";
import { ensureFirstToken, type FirstTokens } from "./first-token.ts";
import { type AuditEntry, listAudit, recordAudit } from "./list-audit.ts";
import { revokeToken } from "./revoke-token.ts";
import { type TokenRecord, tokenKey, tokensIndex, tokenView } from "./tokens.ts";

export interface AccessDeps {
  readonly engine: Engine;
  readonly mover: Mover;
  readonly clock: Clock;
  readonly random: Random;
  readonly partitions: number;
}

/** A place in a list that is ordered by (score, member). */
export interface Place {
  readonly score: number;
  readonly member: string;
}

export interface Access {
  authenticate(authorization: string | undefined): Promise<Principal>;
  createToken(request: CreateTokenRequest & { readonly by: string }): Promise<CreatedToken>;
  revokeToken(request: { readonly id: string; readonly by: string }): Promise<boolean>;
  listTokens(query: { limit: number; after?: Place }): Promise<{ rows: readonly TokenView[]; next: Place | null }>;
  ensureFirstToken(given?: FirstTokens): Promise<string | null>;
  recordAudit(entry: AuditEntry): Promise<void>;
  listAudit(query: {
    limit: number;
    after: readonly number[];
  }): Promise<{ rows: readonly AuditRow[]; next: readonly number[] | null }>;
}

/** Tokens, roles and the audit log. */
export function createAccess(given: AccessDeps): Access {
  const deps = { ...given, tokenCache: new TokenCache() };
  return {
    authenticate: (authorization) => authenticate(deps, authorization),
    createToken: (request) => createToken(deps, request),
    revokeToken: (request) => revokeToken(deps, request),
    listTokens: (query) => listTokens(deps, query),
    ensureFirstToken: (given) => ensureFirstToken(deps, given),
    recordAudit: (entry) => recordAudit(deps, entry),
    listAudit: (query) => listAudit(deps, query),
  };
}

async function listTokens(
  deps: AccessDeps,
  query: { limit: number; after?: Place },
): Promise<{ rows: readonly TokenView[]; next: Place | null }> {
  const partitions = Array.from({ length: deps.partitions }, (_, index) => partitionAt(index));
  const rows = await mergeRange(deps.engine, partitions, tokensIndex, { ...query, reverse: true });
  const { found } = await deps.engine.get(rows.map((row) => tokenKey(row.partition, row.member)));
  const views = found.flatMap(({ value }) => (value === null ? [] : [tokenView(JSON.parse(value) as TokenRecord)]));
  const last = rows.at(-1);
  const full = rows.length === query.limit && last;
  return { rows: views, next: full ? { score: last.score, member: last.member } : null };
}
