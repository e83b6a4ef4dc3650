import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { createRedisEngine } from "#coordinator/engine/redis/redis-engine.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { haveRedis, startRedis } from "./support/redis-server.ts";
import { privateEnv, runSalt, saltFolder } from "./support/salt-process.ts";

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly depends_on?: Readonly<Record<string, unknown>>;
  readonly volumes?: readonly string[];
}

const deploy = path.join(saltFolder, "deploy");
const compose = parse(readFileSync(path.join(deploy, "compose.yaml"), "utf8"), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: object;
};
const services = Object.entries(compose.services);

async function helpOf(command: string): Promise<string> {
  const { code, stdout } = await runSalt([command, "--help"], { cwd: saltFolder, env: privateEnv(deploy) });
  expect(code).toBe(0);
  return stdout;
}

/** What a start of `salt` names, and `--help` does not. */
async function unknownTo(command: readonly string[], variables: readonly string[]): Promise<string[]> {
  const help = await helpOf(command[0] ?? "");
  const flags = command.filter((word) => word.startsWith("--"));
  return [...flags, ...variables.filter((name) => name.startsWith("SALT_"))].filter((name) => !help.includes(name));
}

describe("deploy/compose.yaml", () => {
  test("starts coordinators and agents with flags and variables that salt has", async () => {
    const salts = services.filter(([, { image }]) => image === "salt");
    expect(salts.map(([name]) => name)).toEqual([
      "coordinator-1",
      "coordinator-2",
      "coordinator-3",
      "agent-1",
      "agent-2",
    ]);
    for (const [name, { command = [], environment = {} }] of salts) {
      expect(await unknownTo(command, Object.keys(environment)), name).toEqual([]);
    }
  }, 60_000);

  test("names only services and volumes that it has", () => {
    const wanted = services.flatMap(([, { depends_on = {} }]) => Object.keys(depends_on));
    expect(wanted.filter((name) => compose.services[name] === undefined)).toEqual([]);
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(":")[0]));
    expect(new Set(mounted)).toEqual(new Set(Object.keys(compose.volumes)));
    const hosts = [...JSON.stringify(compose).matchAll(/(?:http|redis):\/\/([a-z][\w-]*):\d+/g)].map(
      ([, host]) => host,
    );
    expect(hosts.filter((host = "") => compose.services[host] === undefined)).toEqual([]);
  });

  test.skipIf(!haveRedis())("sets Redis as a coordinator wants it: nothing to refuse, nothing to warn of", async () => {
    const [, ...settings] = compose.services.redis?.command ?? [];
    const redis = await startRedis({ settings });
    const findings: string[] = [];
    const engine = await createRedisEngine({
      url: redis.url,
      clock: systemClock,
      random: systemRandom,
      warn: (finding) => void findings.push(finding),
    });
    await engine.close();
    await redis.close();
    expect(findings).toEqual([]);
  });
});

test("deploy/systemd starts coordinator and agent with flags that salt has", async () => {
  for (const file of readdirSync(path.join(deploy, "systemd"))) {
    const unit = readFileSync(path.join(deploy, "systemd", file), "utf8");
    const [, command = ""] = /^ExecStart=\S+ (.*)$/m.exec(unit) ?? [];
    expect(await unknownTo(command.split(" "), []), file).toEqual([]);
  }
}, 60_000);
