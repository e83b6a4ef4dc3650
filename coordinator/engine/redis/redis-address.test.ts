import { expect, test } from "vitest";
import { parseRedisUrl, redactUrl } from "./redis-address.ts";
import { nextToConnect, toSaltError } from "./redis-error.ts";

test("a URL says where a Redis is, as whom it is asked, and in which database", () => {
  expect(parseRedisUrl("redis://localhost")).toEqual({
    nodes: [{ host: "localhost", port: 6379 }],
    cluster: false,
    tls: false,
    username: undefined,
    password: undefined,
    db: 0,
    space: "salt:",
  });
  expect(parseRedisUrl("rediss://salt:h%40sh@[::1]:6380/3?space=two:")).toMatchObject({
    nodes: [{ host: "::1", port: 6380 }],
    tls: true,
    username: "salt",
    password: "h@sh",
    db: 3,
    space: "two:",
  });
  expect(parseRedisUrl("redis://:hush@h")).toMatchObject({ username: undefined, password: "hush" });
});

test("a cluster is told by its scheme or by several hosts", () => {
  const nodes = [
    { host: "a", port: 1 },
    { host: "b", port: 2 },
  ];
  for (const url of ["redis-cluster://a:1,b:2", "redis+cluster://a:1,b:2", "redis://a:1,b:2"]) {
    expect(parseRedisUrl(url)).toMatchObject({ nodes, cluster: true, tls: false });
  }
  expect(parseRedisUrl("rediss-cluster://a")).toMatchObject({ cluster: true, tls: true });
});

test("what is no such URL is refused by name, and never with its password", () => {
  const wrong = [
    "",
    "localhost:6379",
    "http://h",
    "redis://u:hush@h:1/x",
    "redis://u:hu@sh@h",
    "redis-cluster://u:hush@a,b/2",
    "redis://:hush@h?space={p0}",
    "redis://:hush%@h",
    "redis://:hush@a:b:c",
    "redis://:hush@h:0",
    "redis-cluster://:hush@a,b:65536",
  ];
  for (const url of wrong) {
    expect(() => parseRedisUrl(url)).toThrow("Cannot use");
    expect(() => parseRedisUrl(url)).not.toThrow("hush");
  }
  expect(redactUrl("redis://u:hu@sh@h:1/0")).toBe("redis://***@h:1/0");
});

test("A8 each refusal of a server becomes an error that says what is the case and what to do", () => {
  const explain = (message: string) => {
    const error = Object.assign(new Error(message), { name: "ReplyError" });
    return toSaltError(error, { attempted: "commit", where: "Redis at h:1", cause: null });
  };
  const passing = ["OOM", "READONLY", "LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF"];
  for (const word of [...passing, "NOREPLICAS", "MOVED", "ASK"]) {
    expect(explain(`${word} something`)).toMatchObject({
      code: "Unavailable",
      retryable: true,
      next: expect.anything(),
    });
  }
  for (const word of ["NOAUTH", "WRONGPASS", "NOPERM"]) {
    expect(explain(`${word} something`)).toMatchObject({
      code: "Unavailable",
      retryable: false,
      next: expect.anything(),
    });
  }
  expect(explain("ERR a mistake of ours")).toMatchObject({ name: "ReplyError" });
});

test("a certificate that is not trusted is no address to correct: it is said where its authority is named", () => {
  for (const message of ["self-signed certificate", "Hostname/IP does not match certificate's altnames"]) {
    expect(nextToConnect(new Error(message))).toContain("NODE_EXTRA_CA_CERTS");
  }
  expect(nextToConnect(new Error("connect ECONNREFUSED"))).toContain("Start Redis");
  expect(nextToConnect(null)).toContain("Start Redis");
});
