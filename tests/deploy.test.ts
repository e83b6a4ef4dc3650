import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createClient } from "#cli/client.ts";
import { createRedisEngine } from "#coordinator/engine/redis/redis-engine.ts";
import { systemClock, systemRandom } from "#shared/system.ts";
import { buildJourneys, registerJourneys, seededRandom, until } from "./support/journeys.ts";
import { haveRedis, startRedis } from "./support/redis-server.ts";
import { findWeed } from "./support/s3-server.ts";
import { privateEnv, runSalt, saltFolder, startProcess } from "./support/salt-process.ts";
import {
  type ComposeService,
  deployFolder,
  interpolate,
  type LocalCompose,
  makeEnv,
  readCompose,
  startCompose,
} from "./support/start-compose.ts";
import { missingForFleet } from "./support/start-fleet.ts";
import { waitForRun } from "./support/start-salt.ts";
import { runUnderFire } from "./support/wave-under-fire.ts";

const compose = readCompose();
const services = Object.entries(compose.services);
const coordinators = ["coordinator-1", "coordinator-2", "coordinator-3"];
const agents = ["agent-1", "agent-2"];

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "salt-deploy-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function helpOf(command: string): Promise<string> {
  const { code, stdout } = await runSalt([command, "--help"], { cwd: saltFolder, env: privateEnv(folder) });
  expect(code).toBe(0);
  return stdout;
}

/** What a start of `salt` names, and `--help` does not. */
async function unknownTo(command: readonly string[], variables: readonly string[]): Promise<string[]> {
  const help = await helpOf(command[0] ?? "");
  const flags = command.filter((word) => word.startsWith("--"));
  return [...flags, ...variables.filter((name) => name.startsWith("SALT_"))].filter((name) => !help.includes(name));
}

const service = (name: string): ComposeService => compose.services[name] as ComposeService;

describe("deploy/compose.yaml", () => {
  test("starts coordinators and agents with flags and variables that salt has", async () => {
    const salts = services.filter(([, { image }]) => image === "salt");
    expect(salts.map(([name]) => name)).toEqual([...coordinators, ...agents]);
    for (const [name, { command, environment = {} }] of salts) {
      expect(await unknownTo(command, Object.keys(environment)), name).toEqual([]);
    }
  }, 60_000);

  test("names only services, networks and volumes that it has, and has none for nothing", () => {
    const wanted = services.flatMap(([, { depends_on = {} }]) => Object.keys(depends_on));
    expect(wanted.filter((name) => compose.services[name] === undefined)).toEqual([]);
    const mounted = services.flatMap(([, { volumes = [] }]) => volumes.map((volume) => volume.split(":")[0]));
    expect(new Set(mounted)).toEqual(new Set(Object.keys(compose.volumes)));
    const joined = services.flatMap(([, { networks = [] }]) => networks);
    expect(new Set(joined)).toEqual(new Set(Object.keys(compose.networks)));
  });

  test("lets a service reach each host that it names, by a network that both are in", () => {
    for (const [name, each] of services) {
      const text = JSON.stringify([each.command, each.environment]);
      for (const [, host = ""] of text.matchAll(/(?:http|redis):\/\/([a-z][\w-]*):\d+/g)) {
        const shared = (service(host).networks ?? []).filter((network) => each.networks?.includes(network));
        expect(shared, `${name} names ${host}`).not.toEqual([]);
      }
    }
  });

  test("keeps Redis from agents, whose programs are anybody's, and every port from other machines", () => {
    for (const name of agents) expect(service(name).networks).toEqual(["agents"]);
    expect(service("redis").networks).toEqual(["state"]);
    expect(compose.networks.state).toEqual({ internal: true });
    const ports = services.flatMap(([, { ports: published = [] }]) => published);
    expect(ports.map((port) => port.split(":")[0])).toEqual(coordinators.map(() => "127.0.0.1"));
  });

  test("waits for who says when it is up", () => {
    for (const [name, { depends_on = {} }] of services) {
      for (const [before, { condition }] of Object.entries(depends_on)) {
        expect(condition, `${name} waits for ${before}`).toBe("service_healthy");
        expect(service(before).healthcheck, before).toBeDefined();
      }
    }
  });

  test("has no secret in it: it does not start without those of make-env.sh, which are new each time and kept", async () => {
    const text = readFileSync(path.join(deployFolder, "compose.yaml"), "utf8");
    expect(() => interpolate(text, {})).toThrow("deploy/make-env.sh makes it");
    const made = await Promise.all(
      ["one", "two"].map(async (name) => {
        const place = await mkdtemp(path.join(folder, name));
        return { place, env: makeEnv(place) };
      }),
    );
    const [one, two] = made as [(typeof made)[0], (typeof made)[0]];
    expect(() => interpolate(text, one.env)).not.toThrow();
    expect(new Set([...Object.values(one.env), ...Object.values(two.env)]).size).toBe(2 * 3 + 2);
    expect(statSync(path.join(one.place, ".env")).mode & 0o777).toBe(0o600);
    expect(() => makeEnv(one.place), "it does not replace them").toThrow();
    expect(readFileSync(path.join(one.place, ".env"), "utf8")).toContain(one.env.SALT_AGENT_TOKEN);
  });

  test.skipIf(!haveRedis())("sets Redis as a coordinator wants it: nothing to refuse, nothing to warn of", async () => {
    const [, ...settings] = service("redis").command.map((word) => interpolate(word, {}));
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

describe.skipIf(missingForFleet() !== null)("what deploy/compose.yaml starts, as processes of this machine", () => {
  let local: LocalCompose;
  const settings = (token: string | undefined) => ({ token: { value: token ?? "", origin: "test" } });
  const clientWith = (token: string | undefined) => {
    const [first = "", ...others] = local.urls;
    return createClient({ url: { value: first, origin: "test" }, others, ...settings(token) });
  };

  beforeAll(async () => {
    local = await startCompose({ weed: findWeed() ?? "" });
  }, 180_000);
  afterAll(() => local?.close(), 180_000);

  test("comes up healthy, with agents connected, by nothing but make-env.sh", async () => {
    const env = { ...privateEnv(folder), SALT_URL: local.urls.join(","), SALT_TOKEN: local.env.SALT_FIRST_ADMIN_TOKEN };
    await until("both agents are connected", async () => {
      const { stdout } = await runSalt(["agents", "list", "--json"], { cwd: folder, env });
      return (JSON.parse(stdout) as { connected: boolean }[]).filter(({ connected }) => connected).length === 2;
    });
    for (const name of [...coordinators, ...agents]) {
      for (const secret of Object.values(local.env).filter((value) => value.length > 16)) {
        expect(local.service(name).output(), name).not.toContain(secret);
      }
    }
  }, 60_000);

  test("A29 finishes a run right, each task executed once, while its coordinators are restarted in turn", async () => {
    const client = clientWith(local.env.SALT_FIRST_ADMIN_TOKEN);
    await registerJourneys({ client }, await buildJourneys());
    const waiting = [...coordinators];
    const { executions, tasks } = await runUnderFire(
      {
        client,
        folder: local.folder,
        async open(name, input) {
          const [project = "", workflow = ""] = name.split("/");
          return await client.call("openRun", { body: { project, workflow, ...(input !== undefined && { input }) } });
        },
        settled: (run, isSettled, timeoutMs) => waitForRun(client, run, isSettled, timeoutMs),
      },
      {
        random: seededRandom("compose"),
        shape: { first: 120, steps: 20 },
        kills: coordinators.length,
        paceMs: 40,
        timeoutMs: 90_000,
        async kill() {
          const coordinator = local.service(waiting.shift() ?? "");
          const askedAtMs = performance.now();
          expect(await coordinator.stop(), "it ends as it was asked to").toBe(0);
          const tookMs = Math.round(performance.now() - askedAtMs);
          await coordinator.start();
          expect(coordinator.output(), "at a later start the first tokens are passed over").not.toContain("salt_");
          return `nothing, but restarted ${coordinator.name}, which ended within ${tookMs} ms`;
        },
      },
    );
    expect(executions).toBe(tasks);
  }, 180_000);

  test("has agents finish and leave when they are stopped", async () => {
    for (const name of agents) expect(await local.service(name).stop(), name).toBe(0);
    const { rows } = await clientWith(local.env.SALT_FIRST_ADMIN_TOKEN).call("listAgents", { query: { limit: 10 } });
    expect(rows.map(({ connected }) => connected)).toEqual([false, false]);
  }, 60_000);
});

describe("deploy/systemd", () => {
  const units = readdirSync(path.join(deployFolder, "systemd"));
  const textOf = (unit: string) => readFileSync(path.join(deployFolder, "systemd", unit), "utf8");
  const commandOf = (unit: string): string[] => (/^ExecStart=\S+ (.*)$/m.exec(textOf(unit))?.[1] ?? "").split(" ");

  test("starts coordinator and agent with flags that salt has, and values that it takes", async () => {
    for (const unit of units) {
      const command = commandOf(unit);
      expect(await unknownTo(command, []), unit).toEqual([]);
      const place = await mkdtemp(path.join(folder, "unit-"));
      const words = command.map((word) => (word.startsWith("/var/lib/") ? path.join(place, "data") : word));
      const local = words[0] === "coordinator" ? ["--port", "0"] : ["--url", "http://127.0.0.1:1", "--token", "salt_x"];
      const started = startProcess([...words, ...local], { cwd: place, env: privateEnv(place) });
      await started.said(/listens on|dials/);
      expect(await started.stop(), unit).toBe(0);
    }
  }, 60_000);

  test("stops each within the time that it has for that, with SIGTERM", () => {
    const [agent, coordinator] = units.map(textOf) as [string, string];
    expect([agent, coordinator].map((text) => /^KillSignal=(.*)$/m.exec(text)?.[1])).toEqual(["SIGTERM", "SIGTERM"]);
    expect(agent).toMatch(/--drain 5m\n[\s\S]*TimeoutStopSec=6min/);
    expect(agent, "programs outlive their agent").toContain("KillMode=process");
  });

  const analyze = (...args: readonly string[]) => spawnSync("systemd-analyze", args, { encoding: "utf8" });
  const haveSystemd = analyze("--version").status === 0;
  if (!haveSystemd) console.warn("Skipped: systemd-analyze is missing (Debian: apt-get install -y systemd).");

  test.skipIf(!haveSystemd)("is understood by systemd, which calls a coordinator well confined", async () => {
    const files = await Promise.all(
      units.map(async (unit) => {
        const file = path.join(folder, unit);
        await writeFile(file, textOf(unit).replace("/usr/local/bin/salt", process.execPath));
        return file;
      }),
    );
    const { status, stderr } = analyze("verify", ...files);
    expect([status, stderr]).toEqual([0, ""]);
    const security = analyze(
      "security",
      "--offline=true",
      "--threshold=20",
      path.join(folder, "salt-coordinator.service"),
    );
    expect(security.status, security.stdout).toBe(0);
  });
});
