import { SaltError } from "#shared/domain/errors.ts";

/** Where a Redis is, as a URL says it. */
export interface RedisAddress {
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly cluster: boolean;
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Always 0 in a cluster. */
  readonly db: number;
  /** What all names begin with, so that several systems may share one Redis. Default `salt:`. */
  readonly space: string;
}

const forms = [
  "redis://[user:password@]host[:port][/db]",
  "rediss://… with TLS",
  "redis-cluster://[user:password@]host:port,host:port…",
];
const next = `Forms: ${forms.join("; ")}. ?space=name: sets what its keys begin with.`;

/** `redis://`, `rediss://`, and `redis-cluster://`, `rediss-cluster://` or a list of hosts. `BadRequest` names what is wrong. */
export function parseRedisUrl(text: string): RedisAddress {
  const refuse = (why: string) => new SaltError("BadRequest", `Cannot use ${redactUrl(text)}: ${why}.`, { next });
  const parts = /^(rediss?)([+-]cluster)?:\/\/(?:([^@/]*)@)?([^/?@]+)(?:\/(\d*))?(?:\?(.*))?$/.exec(text);
  if (parts === null) throw refuse("it is not a URL of a Redis");
  const [, scheme, clustered, credentials = "", hosts = "", db = "", query = ""] = parts;
  const nodes = hosts.split(",").map((host) => {
    const address = /^(\[[0-9a-fA-F:]+\]|[^:[\]]+)(?::(\d{1,5}))?$/.exec(host);
    const port = Number(address?.[2] ?? 6379);
    if (address === null || port < 1 || port > 65_535) throw refuse(`'${host}' is not a host and a port`);
    return { host: (address[1] ?? "").replace(/^\[|\]$/g, ""), port };
  });
  const cluster = clustered !== undefined || nodes.length > 1;
  if (cluster && Number(db || 0) !== 0) throw refuse("a Redis Cluster has database 0 only");
  const space = new URLSearchParams(query).get("space") ?? "salt:";
  if (!/^[\w.:-]{1,32}$/.test(space)) throw refuse("`space` is 1 to 32 letters, digits and any of .:-_");
  const [username, password] = readCredentials(credentials, refuse);
  return { nodes, cluster, tls: scheme === "rediss", username, password, db: Number(db || 0), space };
}

function readCredentials(text: string, refuse: (why: string) => SaltError): [string | undefined, string | undefined] {
  const colon = text.indexOf(":");
  const [user, password] = colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
  try {
    return [decodeURIComponent(user) || undefined, decodeURIComponent(password) || undefined];
  } catch {
    throw refuse("user and password are to be percent-encoded");
  }
}

/** For errors and logs: what stands before the last `@` is a secret, whatever else the text is. */
export const redactUrl = (text: string): string => text.replace(/^([^:/@]+:\/\/)?(.*)@/s, "$1***@");

export function describeAddress({ nodes, cluster, db }: RedisAddress): string {
  const places = nodes.map(({ host, port }) => `${host}:${port}`).join(", ");
  return `${cluster ? "the Redis Cluster at " : "Redis at "}${places}${db === 0 ? "" : `/${db}`}`;
}
