import { SaltError } from "#shared/domain/errors.ts";
import { partitionAt } from "#shared/domain/ids.ts";
import { type Engine, keyIn } from "../engine/engine.ts";
import type { DraftWrite, Move } from "../engine/move.ts";
import { type CreateTokenDeps, createToken, keepToken } from "./create-token.ts";
import { isTokenText } from "./tokens.ts";

/** Tokens that who starts the first coordinator has chosen, so that nobody need read them from its output. */
export interface FirstTokens {
  readonly admin?: string;
  readonly agent?: string;
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
 *
 * Tokens that are given are remembered before the mark is taken: they are the same at each start, so a coordinator that
 * ends in between loses nothing. An administrator's token that was given is known to who gave it, and not answered.
 */
export async function ensureFirstToken(
  deps: CreateTokenDeps & { readonly engine: Engine },
  given: FirstTokens = {},
): Promise<string | null> {
  const { found } = await deps.engine.get([firstTokenKey]);
  if (found[0]?.value !== null) return null;
  const by = "coordinator";
  if (given.agent !== undefined) await keepToken(deps, given.agent, { name: "first agents", role: "agent", by });
  if (given.admin !== undefined) await keepToken(deps, given.admin, { name: "first admin", role: "admin", by });
  const mark = Buffer.from(deps.random.bytes(16)).toString("hex");
  if (!(await deps.mover.move(firstPartition, firstMove, { id: mark })) || given.admin !== undefined) return null;
  const { token } = await createToken(deps, { name: "first admin", role: "admin", by });
  return token;
}

/** What a person has typed to have something there has few different characters; 32 random ones never do. */
const differentCharactersLeast = 8;

/** `BadRequest` for what cannot be a token, or can be guessed. The text is not repeated: it may be a good one, cut short. */
export function requireFirstTokens({ admin, agent }: FirstTokens): void {
  for (const [role, token] of Object.entries({ admin, agent })) {
    if (token === undefined) continue;
    const isGuessed = new Set(token).size < differentCharactersLeast + "salt_".length;
    if (isTokenText(token) && !isGuessed) continue;
    throw new SaltError("BadRequest", `Cannot use the first ${role} token: it is not salt_ and 32 random characters.`, {
      next: 'Make one: echo "salt_$(openssl rand -hex 16)"',
    });
  }
  if (admin === undefined || admin !== agent) return;
  throw new SaltError("BadRequest", "Cannot use one first token for administrators and agents alike.", {
    next: "Make another for the agents: every machine that runs one can read it there.",
  });
}
