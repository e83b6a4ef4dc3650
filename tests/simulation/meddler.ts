import type { SeededRandom } from "../support/seeded-random.ts";
import type { Cluster } from "./cluster.ts";
import { type Meddling, meddlings } from "./faults.ts";
import type { Connection } from "./network.ts";
import type { SimAgent } from "./sim-agent.ts";

/** Does to a cluster what the world does to clusters, at random times. */
export class Meddler {
  readonly #cluster: Cluster;
  readonly #random: SeededRandom;
  /** Undoes what still lasts. */
  readonly #undo = new Set<() => void>();

  constructor(cluster: Cluster, random: SeededRandom) {
    this.#cluster = cluster;
    this.#random = random;
  }

  begin(): void {
    for (const what of meddlings) this.#again(what);
    this.#stirClients();
  }

  #again(what: Meddling): void {
    const everyMs = this.#cluster.plan.every[what];
    if (everyMs === null) return;
    // Evenly at random over time: the gaps are exponential.
    const gapMs = -Math.log(1 - this.#random.float()) * everyMs;
    this.#cluster.scheduler.in(gapMs, () => {
      if (!this.#cluster.wild) return;
      this.#do(what);
      this.#again(what);
    });
  }

  #stirClients(): void {
    const { scheduler, clients } = this.#cluster;
    scheduler.in(this.#random.float() * 1_500, () => {
      if (!this.#cluster.wild) return;
      clients.stir();
      this.#stirClients();
    });
  }

  /** Ends all faults; who is away comes back. */
  calm(): void {
    const cluster = this.#cluster;
    for (const undo of [...this.#undo]) undo();
    for (const coordinator of cluster.coordinators) coordinator.life.go();
    cluster.keepAll();
  }

  #do(what: Meddling): unknown {
    const cluster = this.#cluster;
    const random = this.#random;
    const agents = cluster.agents.filter(({ isUp }) => isUp);
    const agent = agents[random.between(0, agents.length - 1)];
    const coordinator = cluster.anyCoordinator();
    const connections = [...cluster.network.open];
    const connection = connections[random.between(0, connections.length - 1)];
    cluster.trace.note("world", what, agent?.life?.name ?? "");
    switch (what) {
      case "killCoordinator":
        if (coordinator === null) return;
        // Its machine may go down with it, and then nobody says so to its agents.
        if (random.chance(0.3))
          for (const one of connections) if (one.serverName === coordinator.life.name) one.silence();
        coordinator.kill();
        return this.#later(5_000, () => cluster.keepCoordinators());
      case "closeCoordinator":
        coordinator?.close();
        return this.#later(3_000, () => cluster.keepCoordinators());
      case "stopCoordinator":
        coordinator?.life.stop();
        return this.#later(12_000, () => coordinator?.life.go());
      case "cutLink":
        return connection?.cut({
          loseUp: random.chance(0.5),
          loseDown: random.chance(0.5),
          lateMs: random.float() * (random.chance(0.3) ? 15_000 : 20),
        });
      case "halfOpen":
        return connection && this.#halfOpen(connection);
      case "lag":
        cluster.network.lagMs = random.float() * 800;
        return this.#later(4_000, () => {
          cluster.network.lagMs = 0;
        });
      case "slowEngine":
        cluster.room.slowness = 1 + random.float() * 200;
        return this.#later(3_000, () => {
          cluster.room.slowness = 1;
        });
      case "wallClock":
        return this.#setClock(agent);
      case "failOver":
        cluster.room.failOver(random.float() * 1_000);
        // Each coordinator's engine finds out with its next connection.
        for (const one of cluster.coordinators) one.journey.mover.forget();
        return;
      default:
        if (agent) this.#doToAgent(what, agent);
    }
  }

  #doToAgent(what: Meddling, agent: SimAgent): unknown {
    const cluster = this.#cluster;
    const random = this.#random;
    switch (what) {
      case "killAgent":
        agent.kill();
        return this.#comesBack(agent);
      case "rebootAgent":
        // Its end may be seen by nobody.
        if (random.chance(0.5)) this.#silence(agent);
        agent.crash();
        return this.#comesBack(agent);
      case "drainAgent":
        agent.drain();
        return this.#comesBack(agent);
      case "loseAgent":
        if (cluster.agents.filter(({ gone }) => !gone).length < 2) return;
        agent.gone = true;
        if (random.chance(0.5)) this.#silence(agent);
        return agent.crash();
      case "stopAgent": {
        const { life } = agent;
        life?.stop();
        return this.#later(15_000, () => life?.go());
      }
      case "cutOff":
        cluster.cutOff(agent);
        return this.#later(30_000, () => cluster.unreachableFor.delete(agent.machine.name));
      case "killProgram": {
        const programs = [...agent.machine.processes.values()];
        const program = programs[random.between(0, programs.length - 1)];
        program?.signal(random.chance(0.5) ? "SIGKILL" : "SIGSEGV");
        return;
      }
      case "fullDisk":
        agent.machine.disk.full = true;
        return this.#later(6_000, () => {
          agent.machine.disk.full = false;
        });
      default:
    }
  }

  #silence(agent: SimAgent): void {
    for (const one of this.#cluster.network.open) if (one.clientName === agent.life?.name) one.silence();
  }

  #comesBack(agent: SimAgent): void {
    const look = (): void => {
      if (agent.gone) return;
      if (!agent.isUp) agent.start();
      else if (agent.agent?.state === "draining") this.#later(1_000, look);
    };
    this.#later(4_000, look);
  }

  /** A clock is set by up to an hour, back or forth; the engine's own only forth by as much as nobody waits for. */
  #setClock(agent: SimAgent | undefined): void {
    const random = this.#random;
    const stepMs = random.between(-3_600_000, 3_600_000);
    const coordinator = this.#cluster.anyCoordinator();
    const walls = [agent?.machine.wall, coordinator?.wall];
    const wall = walls[random.between(0, 1)];
    if (random.chance(0.2)) this.#cluster.room.wall.offsetMs += random.between(-3_600_000, 20_000);
    else if (wall) wall.offsetMs += stepMs;
  }

  /** Packets of one way, or both, vanish and nobody says so. */
  #halfOpen(connection: Connection): void {
    const way = this.#random.between(0, 2);
    connection.deaf = { up: way !== 0, down: way !== 1 };
  }

  /** After a while, at the latest when all is to be calm. */
  #later(msMax: number, then: () => void): void {
    const undo = () => {
      if (this.#undo.delete(undo)) then();
    };
    this.#undo.add(undo);
    this.#cluster.scheduler.in(this.#random.float() * msMax, undo);
  }
}
