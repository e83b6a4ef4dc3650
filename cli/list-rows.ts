import type { Answer, QueryIn, RouteName } from "#shared/protocol/routes.ts";
import type { Client } from "./client.ts";

const pageRows = 200;

type ListRoute = {
  [Name in RouteName]: Answer<Name> extends { rows: readonly unknown[]; cursor: string | null } ? Name : never;
}[RouteName];
type RowOf<Name extends ListRoute> = Answer<Name> extends { rows: readonly (infer Row)[] } ? Row : never;

/** Rows of a list, page by page, as many as `limit`. */
export async function listRows<Name extends Exclude<ListRoute, "readJournal" | "readLogs">>(
  client: Client,
  name: Name,
  request: {
    readonly query?: Record<string, unknown>;
    readonly limit: number;
    readonly params?: Record<string, string>;
  },
): Promise<RowOf<Name>[]> {
  const rows: RowOf<Name>[] = [];
  let cursor: string | null = null;
  do {
    const limit = Math.min(pageRows, request.limit - rows.length);
    const query = { ...request.query, limit, ...(cursor === null ? {} : { cursor }) } as QueryIn<Name>;
    const page = await client.call(name, { query, ...(request.params ? { params: request.params as never } : {}) });
    const answer = page as { rows: RowOf<Name>[]; cursor: string | null };
    rows.push(...answer.rows);
    cursor = answer.cursor;
  } while (cursor !== null && rows.length < request.limit);
  return rows;
}
