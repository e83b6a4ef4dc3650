import type { WebSocket } from "ws";
import type { Engine } from "#coordinator/engine/engine.ts";
import { type Journey, joinStages } from "#coordinator/journey.ts";
import { SaltError } from "#shared/domain/errors.ts";
import { SeededRandom } from "../support/seeded-random.ts";
import type { EngineRoom } from "./engine-room.ts";
import { Life } from "./life.ts";
import type { Host } from "./network.ts";
import type { Scheduler } from "./scheduler.ts";
import type { SharedBlobs } from "./sim-blobs.ts";
import type { Trace } from "./trace.ts";

interface CoordinatorDeps {
  readonly name: string;
  readonly scheduler: Scheduler;
  readonly seed: number;
  readonly trace: Trace;
  readonly room: EngineRoom;
  readonly blobs: SharedBlobs;
  readonly partitions: number;
  readonly leaseTtlMs: number;
  readonly shared: boolean;
  /** What no coordinator should ever log. */
  readonly onBroken: (what: string) => void;
  /** Whether its clock is skewed, by how much. */
  readonly skewMs: number;
}

/** One life of a coordinator: its stages on a line to the engine. */
export class SimCoordinator implements Host {
  readonly life: Life;
  readonly wall: { offsetMs: number };
  readonly journey: Journey;
  readonly engine: Engine;
  draining = false;

  constructor(deps: CoordinatorDeps) {
    const { name, scheduler, trace } = deps;
    this.wall = { offsetMs: Date.UTC(2026, 0, 1) + deps.skewMs };
    this.life = new Life(name, scheduler, this.wall, 1_000);
    this.engine = deps.room.lineFor(this.life);
    const say = (level: string) => (fields: object, message: string) => {
      const error = "err" in fields ? fields.err : null;
      trace.note(name, level, `${message} ${error instanceof Error ? error.message : JSON.stringify(fields)}`);
      const isExpected = error === null || (error instanceof SaltError && error.retryable);
      if (!isExpected) deps.onBroken(`${name}: ${message}: ${error instanceof Error ? error.stack : error}`);
    };
    this.journey = joinStages({
      engine: this.engine,
      blobs: deps.blobs.store(),
      clock: this.life.clock,
      random: new SeededRandom(deps.seed),
      partitions: deps.partitions,
      shared: deps.shared,
      logger: { info: say("info"), warn: say("warn") },
      leaseTtlMs: deps.leaseTtlMs,
      parkAfterMs: 300,
    });
    this.journey.start();
    trace.note(name, "starts");
  }

  accept(socket: WebSocket): void {
    this.journey.fleet.accept(socket);
  }

  /** kill -9. */
  kill(): void {
    this.life.end();
  }

  /** Ends in order: connections are closed, and what is under way comes to its end. */
  close(): void {
    if (!this.life.alive || this.draining) return;
    this.draining = true;
    this.life.enter(() => {
      void this.journey.drain().then(() => {
        this.journey.close();
        this.life.reach(100, () => this.life.end());
      });
    });
  }
}
