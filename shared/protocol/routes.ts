import type { z } from "zod";
import * as api from "./api.ts";
import * as blobs from "./blobs.ts";
import { limitsPageSchema } from "./limit-views.ts";
import * as triggers from "./trigger-views.ts";

/**
 * The HTTP API as a list: server, OpenAPI document and clients are made from it. `role` is the least that may call it
 * (null: no token), `agents` lets agents' tokens in too. Answers that are not JSON have `answer: null`.
 */
export interface Route {
  readonly method: "get" | "post" | "put" | "delete";
  readonly path: `/v1/${string}`;
  readonly role: "viewer" | "operator" | "deployer" | "admin" | null;
  readonly agents?: true;
  readonly summary: string;
  readonly query: z.ZodType | null;
  readonly body: z.ZodType | null;
  readonly answer: z.ZodType | null;
  /** Status of the usual answer. */
  readonly status: 200 | 201 | 202 | 204;
  /** Answers 200 in place of 201 when what it was asked for was there already. */
  readonly repeatable?: true;
  /** Takes an `Idempotency-Key` header. */
  readonly idempotent?: true;
  /** What the bytes are when `answer` is null. */
  readonly media?: "text/event-stream" | "application/octet-stream" | "application/json";
}

const get = { method: "get", role: "viewer", query: null, body: null, status: 200 } as const;
const post = { method: "post", query: null, status: 200 } as const;

export const routes = {
  health: {
    ...get,
    path: "/v1/health",
    role: null,
    summary: "Whether the coordinator answers",
    answer: api.healthSchema,
  },
  openapi: {
    ...get,
    path: "/v1/openapi.json",
    role: null,
    summary: "This API as an OpenAPI 3.1 document",
    answer: null,
    media: "application/json",
  },

  registerRelease: {
    ...post,
    path: "/v1/releases",
    role: "deployer",
    summary: "Registers a release; its binaries must be in the blob store. The same content again is the same release",
    body: api.registerReleaseSchema,
    answer: api.registeredReleaseSchema,
    status: 201,
    repeatable: true,
  },
  listReleases: {
    ...get,
    path: "/v1/releases",
    summary: "Releases, newest first",
    query: api.releasesQuerySchema,
    answer: api.releasesPageSchema,
  },
  getRelease: { ...get, path: "/v1/releases/{release}", summary: "One release", answer: api.releaseViewSchema },
  listWorkflows: {
    ...get,
    path: "/v1/workflows",
    summary: "Workflows of the projects' current releases",
    query: api.workflowsQuerySchema,
    answer: api.workflowsPageSchema,
  },
  getWorkflow: {
    ...get,
    path: "/v1/workflows/{project}/{workflow}",
    summary: "One workflow with its schemas",
    answer: api.workflowViewSchema,
  },

  findMissingBlobs: {
    ...post,
    path: "/v1/blobs/missing",
    role: "deployer",
    agents: true,
    summary: "Which of these digests the blob store lacks",
    body: blobs.blobsQuestionSchema,
    answer: blobs.blobsMissingSchema,
  },
  putBlob: {
    method: "put",
    path: "/v1/blobs/{sha256}",
    role: "deployer",
    agents: true,
    summary: "Stores the body, whose SHA-256 must be the one in the path",
    query: null,
    body: null,
    answer: blobs.blobStoredSchema,
    status: 200,
  },
  signUpload: {
    ...post,
    path: "/v1/blobs/{sha256}/upload",
    role: "deployer",
    agents: true,
    summary:
      "A request that stores a blob of so many bytes in the store itself, if it can; ask for it with `missing` after",
    body: blobs.signUploadSchema,
    answer: blobs.signedUploadSchema,
  },
  getBlob: {
    ...get,
    path: "/v1/blobs/{sha256}",
    agents: true,
    summary:
      "The bytes of a blob; HEAD and one Range are understood. With `direct=true` it may answer 307 and where the store has them",
    query: blobs.blobQuerySchema,
    answer: null,
    media: "application/octet-stream",
  },

  openRun: {
    ...post,
    path: "/v1/runs",
    role: "operator",
    summary: "Opens a run. 200 instead of 201 when the Idempotency-Key was used for the same request before",
    body: api.openRunSchema,
    answer: api.runViewSchema,
    status: 201,
    repeatable: true,
    idempotent: true,
  },
  listRuns: {
    ...get,
    path: "/v1/runs",
    summary: "Runs, newest first",
    query: api.runsQuerySchema,
    answer: api.runsPageSchema,
  },
  getRun: { ...get, path: "/v1/runs/{run}", summary: "One run", answer: api.runViewSchema },
  listTasks: {
    ...get,
    path: "/v1/runs/{run}/tasks",
    summary: "A run's tasks in the order of their calls",
    query: api.pageQuerySchema,
    answer: api.tasksPageSchema,
  },
  getTask: { ...get, path: "/v1/runs/{run}/tasks/{key}", summary: "One task", answer: api.taskViewSchema },
  readJournal: {
    ...get,
    path: "/v1/runs/{run}/journal",
    summary: "A run's journal after a position",
    query: api.journalQuerySchema,
    answer: api.journalPageSchema,
  },
  followJournal: {
    ...get,
    path: "/v1/runs/{run}/journal/stream",
    summary:
      "A run's journal as server-sent events, until it has ended; the id of an event is its position. Events `progress` say how far tasks are",
    query: api.journalStreamQuerySchema,
    answer: null,
    media: "text/event-stream",
  },
  getOutput: {
    ...get,
    path: "/v1/runs/{run}/output",
    summary: "A run's output value",
    answer: null,
    media: "application/json",
  },
  cancelRun: {
    ...post,
    path: "/v1/runs/{run}/cancel",
    role: "operator",
    summary: "Asks a run to end; its open calls are cancelled",
    body: api.cancelRunSchema,
    answer: api.runViewSchema,
    status: 202,
  },
  retryRun: {
    ...post,
    path: "/v1/runs/{run}/retry",
    role: "operator",
    summary: "Opens a new run that goes on from the failed call of this one",
    body: null,
    answer: api.runViewSchema,
    status: 201,
  },
  signalRun: {
    ...post,
    path: "/v1/runs/{run}/signals/{name}",
    role: "operator",
    summary: "Sends a signal to a run",
    body: api.sendSignalSchema,
    answer: api.signalSentSchema,
    status: 202,
  },
  readLogs: {
    ...get,
    path: "/v1/runs/{run}/logs",
    summary: "Output of a run's tasks, or of one, after a position",
    query: api.logsQuerySchema,
    answer: api.logsPageSchema,
  },
  followLogs: {
    ...get,
    path: "/v1/runs/{run}/logs/stream",
    summary: "Output of a run's tasks, or of one, as server-sent events, until the run has ended",
    query: api.logsStreamQuerySchema,
    answer: null,
    media: "text/event-stream",
  },
  sendEvent: {
    ...post,
    path: "/v1/events",
    role: "operator",
    summary: "Sends an event to all who wait for it",
    body: api.sendEventSchema,
    answer: api.eventSentSchema,
    status: 202,
  },

  listAgents: {
    ...get,
    path: "/v1/agents",
    summary: "Agents, connected or not",
    query: api.pageQuerySchema,
    answer: api.agentsPageSchema,
  },
  getAgent: { ...get, path: "/v1/agents/{agent}", summary: "One agent", answer: api.agentViewSchema },

  listLimits: {
    ...get,
    path: "/v1/limits",
    summary: "Limits under which tasks hold slots or wait for one, by project and name",
    query: api.pageQuerySchema,
    answer: limitsPageSchema,
  },

  listTriggers: {
    ...get,
    path: "/v1/triggers",
    summary: "Triggers of all projects",
    query: api.pageQuerySchema,
    answer: triggers.triggersPageSchema,
  },
  fireTrigger: {
    ...post,
    path: "/v1/triggers/{project}/{trigger}/fire",
    role: "operator",
    summary: "Fires a trigger now",
    body: triggers.fireTriggerSchema,
    answer: api.runViewSchema,
    status: 201,
    repeatable: true,
    idempotent: true,
  },
  receiveWebhook: {
    ...post,
    path: "/v1/triggers/{project}/{trigger}/webhook",
    role: null,
    summary: "A delivery signed by the rules of Standard Webhooks; the body, any JSON, is the run's input",
    body: null,
    answer: api.openedRunSchema,
    status: 202,
  },
  rotateSecret: {
    ...post,
    path: "/v1/triggers/{project}/{trigger}/secrets",
    role: "deployer",
    summary: "Makes a new signing secret for a webhook",
    body: null,
    answer: triggers.rotatedSecretSchema,
    status: 201,
  },

  createToken: {
    ...post,
    path: "/v1/tokens",
    role: "admin",
    summary: "Makes a token, which is shown this once",
    body: api.createTokenSchema,
    answer: api.createdTokenSchema,
    status: 201,
  },
  listTokens: {
    ...get,
    path: "/v1/tokens",
    role: "admin",
    summary: "Tokens, newest first",
    query: api.pageQuerySchema,
    answer: api.tokensPageSchema,
  },
  revokeToken: {
    method: "delete",
    path: "/v1/tokens/{token}",
    role: "admin",
    summary: "Revokes a token",
    query: null,
    body: null,
    answer: null,
    status: 204,
  },
  listAudit: {
    ...get,
    path: "/v1/audit",
    role: "admin",
    summary: "Who did what, oldest first",
    query: api.pageQuerySchema,
    answer: api.auditPageSchema,
  },
} as const satisfies Record<string, Route>;

export type Routes = typeof routes;
export type RouteName = keyof Routes;

type ParamNames<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParamNames<Rest>
  : never;
/** The path's parameters, not encoded. */
export type Params<Name extends RouteName> = { readonly [Param in ParamNames<Routes[Name]["path"]>]: string };
type InputOf<Schema> = Schema extends z.ZodType ? z.input<Schema> : undefined;
type OutputOf<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;
/** What a client may send as query and body; what the server gets of it; what it answers. */
export type QueryIn<Name extends RouteName> = InputOf<Routes[Name]["query"]>;
export type BodyIn<Name extends RouteName> = InputOf<Routes[Name]["body"]>;
export type Query<Name extends RouteName> = OutputOf<Routes[Name]["query"]>;
export type Body<Name extends RouteName> = OutputOf<Routes[Name]["body"]>;
export type Answer<Name extends RouteName> = OutputOf<Routes[Name]["answer"]>;

/** The path of a route with its parameters filled in and encoded. */
export function pathOf<Name extends RouteName>(name: Name, params: Params<Name>): string {
  const values = params as Readonly<Record<string, string>>;
  return routes[name].path.replace(/\{(\w+)\}/g, (_, param: string) => encodeURIComponent(values[param] ?? ""));
}
