import type { Move, Mover } from "../engine/move.ts";
import { auditWrite } from "../state/audit.ts";
import type { TokenCache } from "./authenticate.ts";
import { type TokenRecord, tokenKey, tokenPartition, tokensIndex, tokenView } from "./tokens.ts";

interface Revocation {
  readonly id: string;
  readonly by: string;
  readonly partitions: number;
}

const revokeMove: Move<Revocation, boolean> = {
  name: "revokeToken",
  // What it answers without writing must not rest on a record that another coordinator has changed.
  fresh: true,
  reads: (input) => [tokenKey(tokenPartition(input.partitions, input.id), input.id)],
  decide(view, input) {
    const partition = tokenPartition(input.partitions, input.id);
    const record = view.get<TokenRecord>(tokenKey(partition, input.id));
    if (!record) return { transactions: [], answer: () => false };
    return {
      transactions: [
        {
          checks: [],
          writes: [
            { kind: "delete", key: tokenKey(partition, input.id) },
            { kind: "unrank", index: tokensIndex(partition), member: input.id },
            auditWrite(partition, {
              actor: input.by,
              action: "token.revoke",
              object: input.id,
              before: tokenView(record),
            }),
          ],
        },
      ],
      answer: () => true,
    };
  },
};

/** False when there is no such token. It is refused at once by this coordinator, within `tokenBelievedMs` by others. */
export async function revokeToken(
  deps: { readonly mover: Mover; readonly partitions: number; readonly tokenCache: TokenCache },
  request: { readonly id: string; readonly by: string },
): Promise<boolean> {
  const input: Revocation = { ...request, partitions: deps.partitions };
  const revoked = await deps.mover.move(tokenPartition(deps.partitions, request.id), revokeMove, input);
  deps.tokenCache.forget(request.id);
  return revoked;
}
