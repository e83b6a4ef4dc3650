import { SaltError } from "#shared/domain/errors.ts";
import { partitionFor } from "#shared/domain/ids.ts";
import { type AgentRecord, agentKey, agentsIndex } from "../records.ts";
import { mergeRange } from "../state/merge-range.ts";
import { allPartitions } from "../state/projects.ts";
import type { ApiDeps, Handlers } from "./handlers.ts";
import { cursorOfPositions, pageOf, placeOfCursor, positionsOfCursor } from "./page.ts";
import { agentView, parseFound } from "./views.ts";

type AccessHandlers = Pick<
  Handlers,
  "createToken" | "listTokens" | "revokeToken" | "listAudit" | "listAgents" | "getAgent"
>;

/** Tokens, the audit log, and the machines. */
export function accessHandlers(deps: ApiDeps): AccessHandlers {
  const { access, engine } = deps;
  return {
    createToken: ({ body, actor }) => access.createToken({ ...body, by: actor }),
    async listTokens({ query }) {
      return pageOf(await access.listTokens({ limit: query.limit, ...placeOfCursor(query.cursor) }));
    },
    async revokeToken({ params, actor }) {
      if (await access.revokeToken({ id: params.token, by: actor })) return new Response(null, { status: 204 });
      throw new SaltError("NotFound", `There is no token '${params.token}'.`);
    },
    async listAudit({ query }) {
      const page = await access.listAudit({ limit: query.limit, after: positionsOfCursor(query.cursor) });
      return { rows: [...page.rows], cursor: cursorOfPositions(page.next) };
    },

    async listAgents({ query }) {
      const place = placeOfCursor(query.cursor);
      const rows = await mergeRange(engine, allPartitions(deps.partitions), agentsIndex, {
        limit: query.limit,
        ...place,
      });
      const { found } = await engine.get(rows.map(({ partition, member }) => agentKey(partition, member)));
      const views = found.flatMap((one) => {
        const record = parseFound<AgentRecord>(one);
        return record ? [agentView(record)] : [];
      });
      const last = rows.at(-1);
      const next = rows.length === query.limit && last ? { score: last.score, member: last.member } : null;
      return pageOf({ rows: views, next });
    },
    async getAgent({ params }) {
      const { found } = await engine.get([
        agentKey(partitionFor(deps.partitions, "agent", params.agent), params.agent),
      ]);
      const record = parseFound<AgentRecord>(found[0]);
      if (!record) throw new SaltError("NotFound", `There is no agent '${params.agent}'.`);
      return agentView(record);
    },
  };
}
