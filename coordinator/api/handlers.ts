import type { Hono } from "hono";
import type { Clock, Random } from "#shared/ports.ts";
import type { Answer, Body, Params, Query, RouteName } from "#shared/protocol/routes.ts";
import type { Access } from "../access/access.ts";
import type { Principal } from "../access/authenticate.ts";
import type { BlobStore } from "../blobs/blobs.ts";
import type { Engine } from "../engine/engine.ts";
import type { Logs } from "../logs/logs.ts";
import type { ProgressBoard } from "../progress.ts";
import type { Registry } from "../registry/registry.ts";
import type { Runs } from "../stages.ts";
import type { Triggers } from "../triggers/triggers.ts";

/** What the API stands on: the ports, and the stages that `main.ts` hands to it. */
export interface ApiDeps {
  readonly engine: Engine;
  readonly blobs: BlobStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly partitions: number;
  readonly access: Access;
  readonly registry: Registry;
  readonly triggers: Triggers;
  readonly logs: Logs;
  readonly progress: ProgressBoard;
  readonly runs: Runs;
  /** Of the coordinator, for `/v1/health` and the OpenAPI document. */
  readonly version: string;
  /** Told of each error that is not the caller's. */
  readonly onError?: (error: unknown, requestId: string) => void;
}

export type ApiApp = Hono<{ Variables: { requestId: string } }>;

/** A request whose caller may make it and whose parts are of the form that its route asks for. */
export interface ApiRequest<Name extends RouteName> {
  readonly params: Params<Name>;
  readonly query: Query<Name>;
  readonly body: Body<Name>;
  /** Texts of the body's outermost members as sent: values are stored as they came. */
  readonly texts: ReadonlyMap<string, string>;
  /** Null only on routes that anybody may call. */
  readonly principal: Principal | null;
  /** Who asks, for journals and the audit log. */
  readonly actor: string;
  readonly raw: Request;
  readonly requestId: string;
}

/** An answer with another status than its route's usual one, or with headers. */
export class Reply<Content> {
  readonly content: Content;
  readonly status: number | null;
  readonly headers: Readonly<Record<string, string>>;

  constructor(content: Content, options: { status?: number; headers?: Readonly<Record<string, string>> } = {}) {
    this.content = content;
    this.status = options.status ?? null;
    this.headers = options.headers ?? {};
  }
}

export type Handler<Name extends RouteName> = (
  request: ApiRequest<Name>,
) => Promise<Answer<Name> extends undefined ? Response : Answer<Name> | Reply<Answer<Name>>>;

export type Handlers = { readonly [Name in RouteName]: Handler<Name> };
