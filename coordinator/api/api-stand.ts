import { sha256 } from "#shared/domain/ids.ts";
import type { Role } from "#shared/protocol/api.ts";
import type { Manifest } from "#shared/protocol/manifest.ts";
import { systemRandom } from "#shared/system.ts";
import { memoryBlobs } from "../../tests/support/memory-blobs.ts";
import { shiftedClock } from "../../tests/support/shifted-clock.ts";
import { createAccess } from "../access/access.ts";
import { createMemoryEngine } from "../engine/memory/memory-engine.ts";
import { joinStages } from "../journey.ts";
import { createApi } from "./create-api.ts";
import { startServer } from "./start-server.ts";

/** Tests stand on this: the API over the in-memory engine, without agents, on a clock that can be put forward. */
export async function createStand(options: { readonly partitions?: number } = {}) {
  const partitions = options.partitions ?? 1;
  const clock = shiftedClock();
  const engine = createMemoryEngine({ clock });
  const blobs = memoryBlobs();
  const logger = { info: () => undefined, warn: () => undefined };
  const given = { engine, blobs, clock, random: systemRandom, partitions };
  const journey = joinStages({ ...given, shared: false, logger });
  const { mover, registry, runs, triggers, logs, progress, fleet } = journey;
  const ports = { ...given, mover, blobs: journey.blobs };
  const access = createAccess(ports);
  const errors: unknown[] = [];
  const onError = (error: unknown) => void errors.push(error);
  const app = createApi({ ...ports, access, registry, triggers, logs, progress, runs, version: "0.0.0", onError });
  const admin = (await access.ensureFirstToken()) ?? "";
  const tokenOf = async (role: Role): Promise<string> =>
    (await access.createToken({ name: role, role, by: "test" })).token;
  return { ...ports, access, registry, triggers, logs, progress, runs, fleet, app, admin, tokenOf, errors };
}

export type Stand = Awaited<ReturnType<typeof createStand>>;

/** Serves a stand on a free port of loopback. */
export const serveStand = (stand: Stand, options: Partial<Parameters<typeof startServer>[0]> = {}) =>
  startServer({
    app: stand.app,
    clock: stand.clock,
    host: "127.0.0.1",
    port: 0,
    authenticate: stand.access.authenticate,
    onUpgrade: (_, socket) => socket.end("HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ...options,
  });

export const binary = Buffer.from("#!/bin/sh\nexit 0\n");
export const binarySha256 = sha256(binary);

/** A manifest with the workflow `main`, which takes an object with a number `n`, and what is given. */
export function manifestOf(given: Partial<Manifest> & { readonly note?: string } = {}): Manifest {
  const { note = "", ...rest } = given;
  const input = {
    type: "object",
    properties: { n: { type: "number" }, who: { type: "string", pattern: "^(a+)+$" } },
    required: ["n"],
    additionalProperties: false,
  };
  return {
    salt: 1,
    project: "shop",
    description: {
      protocol: 1,
      sdk: { language: "typescript", version: "0.1.0" },
      workflows: [
        { name: "main", description: `Does the work. ${note}`, input, output: true },
        { name: "any", input: true, output: true },
        { name: "defaulting", input: { type: "number", default: 30 }, output: true },
      ],
      tasks: [{ name: "score", input: true, output: true, checks: [], options: {} }],
    },
    triggers: [],
    binaries: { "linux-x64": { sha256: binarySha256, bytes: binary.length } },
    ...rest,
  };
}

/** Stores the binary and registers a manifest. */
export async function register(stand: Stand, manifest: Manifest = manifestOf()) {
  await stand.blobs.put(binarySha256, binary, binary.length);
  return stand.registry.registerRelease({ manifest, by: "test" });
}

/** A request to the app, as a client would send it; `json` is sent as the body, `text` as it is. */
export async function call(
  stand: Stand,
  method: string,
  path: string,
  options: { token?: string | null; json?: unknown; text?: string | Uint8Array; headers?: Record<string, string> } = {},
) {
  const body = options.json === undefined ? options.text : JSON.stringify(options.json);
  const token = options.token === undefined ? stand.admin : options.token;
  const response = await stand.app.request(`http://127.0.0.1${path}`, {
    method,
    headers: {
      ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...options.headers,
    },
    ...(body === undefined ? {} : { body: body as string }),
  });
  const text =
    response.body && !/event-stream|octet/.test(response.headers.get("content-type") ?? "")
      ? await response.text()
      : "";
  return { status: response.status, headers: response.headers, text, body: parse(text), response };
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
function parse(text: string): any {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
