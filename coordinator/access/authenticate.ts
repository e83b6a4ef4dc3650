import { timingSafeEqual } from "node:crypto";
import { LRUCache } from "lru-cache";
import { SaltError } from "#shared/domain/errors.ts";
import { limits } from "#shared/domain/limits.ts";
import type { Clock } from "#shared/ports.ts";
import type { Role } from "#shared/protocol/api.ts";
import type { Engine } from "../engine/engine.ts";
import { hashOf, isTokenText, type TokenRecord, tokenIdOf, tokenKey, tokenPartition } from "./tokens.ts";

/** Who makes a request. */
export interface Principal {
  readonly token: string;
  readonly role: Role;
  /** How they are named in runs, journals and the audit log. */
  readonly actor: string;
}

const cachedTokensMax = 1_000;

interface Believed {
  readonly record: TokenRecord;
  readonly untilMs: number;
}

/** Records of tokens lately used, by id. */
export class TokenCache {
  readonly #records = new LRUCache<string, Believed>({ max: cachedTokensMax });
  #forgotten = 0;

  /** Changes whenever a token is forgotten: what was read before that is not to be kept. */
  get generation(): number {
    return this.#forgotten;
  }

  get(id: string, nowMs: number): TokenRecord | null {
    const believed = this.#records.get(id);
    return believed && nowMs < believed.untilMs ? believed.record : null;
  }

  keep(record: TokenRecord, untilMs: number, generation: number): void {
    if (generation === this.#forgotten) this.#records.set(record.id, { record, untilMs });
  }

  forget(id: string): void {
    this.#forgotten += 1;
    this.#records.delete(id);
  }
}

export interface AuthenticateDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly partitions: number;
  readonly tokenCache: TokenCache;
}

const refuse = (why: string): SaltError =>
  new SaltError("NotAuthenticated", `Cannot authenticate the request: ${why}.`, {
    next: "Send 'Authorization: Bearer <token>'; an administrator makes tokens with 'salt tokens create'.",
  });

/** Who bears the token of an `Authorization` header. `NotAuthenticated` for everything but a token that is good now. */
export async function authenticate(deps: AuthenticateDeps, authorization: string | undefined): Promise<Principal> {
  if (authorization === undefined) throw refuse("it has no Authorization header");
  const match = /^Bearer +([!-~]{1,512})$/i.exec(authorization);
  if (!match?.[1]) throw refuse("its Authorization header is not of the form 'Bearer <token>'");
  if (!isTokenText(match[1])) throw refuse("its token is not one of Salt's");
  const hash = hashOf(match[1]);
  const record = await findToken(deps, tokenIdOf(hash));
  if (!record || !timingSafeEqual(Buffer.from(record.hash, "hex"), Buffer.from(hash, "hex"))) {
    throw refuse("its token is unknown, revoked or expired");
  }
  return { token: record.id, role: record.role, actor: `${record.name} (${record.id})` };
}

async function findToken(deps: AuthenticateDeps, id: string): Promise<TokenRecord | null> {
  const cached = deps.tokenCache.get(id, deps.clock.monotonicMs());
  if (cached) return cached;
  const { generation } = deps.tokenCache;
  // From before the read: however late its answer is, what another coordinator revokes meanwhile is not believed longer.
  const askedAtMs = deps.clock.monotonicMs();
  const { nowMs, found } = await deps.engine.get([tokenKey(tokenPartition(deps.partitions, id), id)]);
  const value = found[0]?.value;
  if (value === null || value === undefined) return null;
  const record = JSON.parse(value) as TokenRecord;
  const leftMs = Math.min(limits.tokenBelievedMs, (record.expiresAtMs ?? Number.POSITIVE_INFINITY) - nowMs);
  if (leftMs <= 0) return null;
  deps.tokenCache.keep(record, askedAtMs + leftMs, generation);
  return record;
}
