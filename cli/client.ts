/**
 * The one HTTP client of the CLI, typed by the routes that the coordinator serves. Problem documents become `SaltError`,
 * a coordinator that does not answer becomes `Unreachable`.
 */
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import type { Readable } from "node:stream";
import { type ErrorCode, errorCodes, SaltError } from "#shared/domain/errors.ts";
import { problemSchema } from "#shared/protocol/api.ts";
import type { Answer, BodyIn, Params, QueryIn, RouteName } from "#shared/protocol/routes.ts";
import { pathOf, routes } from "#shared/protocol/routes.ts";
import type { Settings } from "./settings.ts";

const answerTimeoutMs = 60_000;
/** A stream on which nothing came for so long, not even a keep-alive, is taken to be dead. */
const streamIdleMs = 60_000;
const answerBytesMax = 256 * 1024 * 1024;

export interface Client {
  readonly url: string;
  call<Name extends RouteName>(name: Name, request?: CallRequest<Name>): Promise<Answer<Name>>;
  /** The open answer of a route whose answer is not JSON. The caller reads or destroys it. */
  open<Name extends RouteName>(name: Name, request?: CallRequest<Name>): Promise<IncomingMessage>;
}

export interface CallRequest<Name extends RouteName> {
  readonly params?: Params<Name>;
  readonly query?: QueryIn<Name>;
  readonly body?: BodyIn<Name>;
  /** Sent as they are, in place of `body`. */
  readonly bytes?: { readonly stream: Readable; readonly length: number };
  readonly headers?: Readonly<Record<string, string>>;
  /** An answer 307 is given as it is, in place of an error. It is never followed. */
  readonly redirects?: true;
  readonly signal?: AbortSignal;
}

export function createClient(given: Settings): Client {
  let settings = given;
  const open = async <Name extends RouteName>(name: Name, request: CallRequest<Name> = {}) => {
    for (let left = given.others?.length ?? 0; ; left -= 1) {
      try {
        return await openRoute(settings, name, request);
      } catch (error) {
        if (left === 0 || !isUntouched(error)) throw error;
        settings = nextOf(settings);
      }
    }
  };
  return {
    url: given.url.value,
    open,
    async call(name, request = {}) {
      const answer = await open(name, request);
      const schema = routes[name].answer;
      const text = await readText(answer);
      if (schema === null) return undefined as never;
      const parsed = schema.safeParse(parseJson(text));
      if (parsed.success) return parsed.data as never;
      throw new SaltError("Internal", `The coordinator's answer to ${name} is not what this salt expects.`, {
        next: "salt doctor compares the versions",
        details: { issues: parsed.error.issues.slice(0, 5) },
      });
    },
  };
}

/** No connection was made, so the request has had no effect and can go to another coordinator. */
const isUntouched = (error: unknown): boolean =>
  error instanceof SaltError &&
  ["ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"].includes(
    (error.cause as NodeJS.ErrnoException | undefined)?.code ?? "",
  );

function nextOf(settings: Settings): Settings {
  const [next = settings.url.value, ...rest] = settings.others ?? [];
  return { ...settings, url: { ...settings.url, value: next }, others: [...rest, settings.url.value] };
}

async function openRoute<Name extends RouteName>(
  settings: Settings,
  name: Name,
  request: CallRequest<Name>,
): Promise<IncomingMessage> {
  const { method, role } = routes[name];
  const url = urlOf(settings.url.value, name, request);
  if (role !== null && settings.token === null) {
    // Whether there is a coordinator at all matters more than the missing token.
    (await send(settings, new URL(`${settings.url.value}/v1/health`), "GET", {})).resume();
    throw noToken(settings);
  }
  const answer = await send(settings, url, method.toUpperCase(), request);
  const status = answer.statusCode ?? 0;
  if ((status >= 200 && status < 300) || (status === 307 && request.redirects)) return answer;
  throw problemError(settings, status, await readText(answer));
}

function urlOf<Name extends RouteName>(base: string, name: Name, request: CallRequest<Name>): URL {
  const url = new URL(base + pathOf(name, (request.params ?? {}) as Params<Name>));
  for (const [key, value] of Object.entries((request.query ?? {}) as Record<string, unknown>)) {
    if (value !== undefined) url.searchParams.set(key, String(value));
  }
  return url;
}

function send(settings: Settings, url: URL, method: string, request: CallRequest<RouteName>): Promise<IncomingMessage> {
  const json = request.body === undefined ? undefined : JSON.stringify(request.body);
  const headers: Record<string, string> = {
    accept: "application/json, application/problem+json, text/event-stream, application/octet-stream",
    ...(settings.token === null ? {} : { authorization: `Bearer ${settings.token.value}` }),
    ...(json === undefined ? {} : { "content-type": "application/json" }),
    ...(request.bytes
      ? { "content-type": "application/octet-stream", "content-length": `${request.bytes.length}` }
      : {}),
    ...request.headers,
  };
  const { request: start } = url.protocol === "https:" ? https : http;
  return new Promise((resolve, reject) => {
    const { signal } = request;
    const sent = start(url, { method, headers, timeout: answerTimeoutMs, ...(signal ? { signal } : {}) }, (answer) => {
      sent.setTimeout(streamIdleMs);
      resolve(answer);
    });
    sent.on("timeout", () => sent.destroy(new Error("nothing came for 60 s")));
    sent.on("error", (error) => reject(signal?.aborted ? error : unreachable(settings, error)));
    if (request.bytes) {
      request.bytes.stream.on("error", (error) => sent.destroy(error)).pipe(sent);
    } else {
      sent.end(json);
    }
  });
}

export function unreachable(settings: Settings, cause: Error): SaltError {
  const code = (cause as NodeJS.ErrnoException).code;
  const why = code === "ECONNREFUSED" ? "nothing listens there" : cause.message || code || "no reason given";
  const fromDev = settings.url.origin.endsWith("dev.json");
  return new SaltError("Unreachable", `Cannot reach the coordinator at ${settings.url.value}: ${why}.`, {
    next: fromDev
      ? "start salt dev in the project's folder again"
      : `start one with salt dev or salt coordinator, or name another with --url (this one is from: ${settings.url.origin})`,
    cause,
  });
}

const noToken = (settings: Settings): SaltError =>
  new SaltError("NotAuthenticated", `There is no token for the coordinator at ${settings.url.value}.`, {
    next: "give one with --token or SALT_TOKEN, or save one with salt context add <name> --url <url> --token <token>",
  });

function problemError(settings: Settings, status: number, text: string): SaltError {
  const parsed = problemSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const code = status === 404 ? "NotFound" : status >= 500 ? "Unavailable" : "BadRequest";
    return new SaltError(
      code,
      `The server at ${settings.url.value} answered with status ${status}, and not as a coordinator does.`,
      {
        next: `check the address (it is from: ${settings.url.origin})`,
      },
    );
  }
  const problem = parsed.data;
  const code: ErrorCode = Object.hasOwn(errorCodes, problem.code) ? (problem.code as ErrorCode) : "Internal";
  const next = problem.next ?? adviceFor(settings, code);
  return new SaltError(code, problem.detail, {
    ...(next === undefined ? {} : { next }),
    details: { ...(problem.details === undefined ? {} : { problem: problem.details }), requestId: problem.requestId },
  });
}

function adviceFor(settings: Settings, code: ErrorCode): string | undefined {
  if (code === "NotAuthenticated") return `check the token (it is from: ${settings.token?.origin ?? "nowhere"})`;
  if (code === "NotAllowed") return "use a token of a higher role; salt tokens create makes one";
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The whole body, which is at most `answerBytesMax`. */
export async function readText(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer) {
      bytes += (chunk as Buffer).length;
      if (bytes > answerBytesMax) throw new SaltError("TooLarge", `The answer is larger than ${answerBytesMax} bytes.`);
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (error instanceof SaltError) throw error;
    throw new SaltError("Unreachable", `The connection to the coordinator broke: ${(error as Error).message}.`, {
      cause: error,
    });
  }
  return Buffer.concat(chunks).toString("utf8");
}
