import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { writePrivate } from "../contexts.ts";

const tokensSchema = z.object({ admin: z.string(), agent: z.string() });
export type DevTokens = z.infer<typeof tokensSchema>;

interface TokenMaker {
  createToken(request: { name: string; role: "admin" | "agent"; by: string }): Promise<{ token: string }>;
}

/** The tokens of this folder's dev coordinator: made once, and kept beside its state in a file that only its owner reads. */
export async function devTokens(state: string, coordinator: TokenMaker): Promise<DevTokens> {
  const file = path.join(state, "coordinator", "dev-tokens.json");
  try {
    return tokensSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch {
    const admin = await coordinator.createToken({ name: "salt dev", role: "admin", by: "salt dev" });
    const agent = await coordinator.createToken({ name: "salt dev agent", role: "agent", by: "salt dev" });
    const tokens = { admin: admin.token, agent: agent.token };
    await writePrivate(file, JSON.stringify(tokens));
    return tokens;
  }
}
