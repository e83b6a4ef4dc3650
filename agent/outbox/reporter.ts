import type { Timer } from "#shared/ports.ts";
import type { AttemptName, Report, Result } from "#shared/protocol/agent.ts";
import type { Connection } from "../connection/connection.ts";
import { reportUnit } from "../connection/unit.ts";
import { type Attempt, attemptKey, nameOf } from "../leases/attempt.ts";
import type { AgentDeps } from "../options.ts";
import type { ReportFiles } from "./report-files.ts";

export interface ReporterDeps extends AgentDeps {
  readonly connection: Connection;
  readonly files: ReportFiles;
  /** The report is accepted, or as safe as that: the attempt needs the agent no more (`accepted`), or its memory no more. */
  readonly accepted: (attempt: Attempt) => void;
  readonly stored: (attempt: Attempt) => void;
}

const storeAfterMs = 1_000;

/**
 * Keeps reports until the coordinator has accepted them (C15).
 *
 * K1  While the program that answered lives and a coordinator is there, the program is the outbox: nothing is written.
 * K2  With no coordinator for 1 s, or with the program gone, the report and what was said before it go to disk, durably;
 *     the program is then told that its answer is safe.
 * K3  A file is removed when all that is in it has been accepted.
 */
export class Reporter {
  readonly #deps: ReporterDeps;
  readonly #open = new Set<Attempt>();
  readonly #waiting = new Set<Attempt>();
  /** Those whose file is on its way: one that is written twice would leave the first file behind. */
  #writing = new Set<Attempt>();
  /** Reports of an earlier life, by attempt: its leases are still held. */
  readonly #loaded = new Map<string, AttemptName>();
  readonly #files = new Map<string, string>();
  readonly #fileCounts = new Map<string, number>();
  #storing: Promise<void> | null = null;
  #offline = false;
  #timer: Timer | null = null;

  constructor(deps: ReporterDeps) {
    this.#deps = deps;
  }

  /** Takes up what an earlier life could not get rid of. */
  async load(): Promise<void> {
    for (const { file, units } of await this.#deps.files.load()) {
      let open = units.length;
      for (const { task, fence, kind, text } of units) {
        const attempt = attemptKey({ task, fence });
        this.#loaded.set(attempt, { task, fence });
        const accepted = () => {
          open -= 1;
          if (kind === "report") this.#loaded.delete(attempt);
          if (open === 0) this.#remove(file);
        };
        this.#deps.connection.keep({ kind, text, bytes: Buffer.byteLength(text), attempt, accepted });
      }
      if (open === 0) await this.#deps.files.remove(file);
    }
  }

  /** Leases that are held for nothing but a report from an earlier life. */
  get loaded(): Iterable<AttemptName> {
    return this.#loaded.values();
  }

  /** A report of an earlier life that has gone stale. */
  dropLoaded(name: AttemptName): void {
    const key = attemptKey(name);
    if (!this.#loaded.has(key)) return;
    // Accepting removes the file in the end, dropping would leave it: the coordinator refuses them once more at most.
    this.#deps.connection.drop((unit) => {
      const isIts = unit.attempt === key;
      if (isIts) unit.accepted();
      return isIts;
    });
    this.#loaded.delete(key);
  }

  report(attempt: Attempt, result: Result, ranMs: number, given: number | undefined): void {
    const report: Report = {
      ...nameOf(attempt),
      result,
      ranMs: Math.max(0, ranMs),
      ...(attempt.lease.kind === "workflow" ? { given: given ?? attempt.given } : {}),
    };
    this.#open.add(attempt);
    this.#deps.connection.keep(reportUnit(attempt.key, report, () => this.#accept(attempt)));
    if (this.#offline || attempt.host === null) this.#store(attempt);
  }

  hostGone(attempt: Attempt): void {
    if (this.#open.has(attempt)) this.#store(attempt);
  }

  /** Forgets the report of a stale attempt. */
  drop(attempt: Attempt): void {
    if (this.#open.has(attempt)) this.#close(attempt);
  }

  lost(): void {
    this.#timer ??= this.#deps.clock.after(storeAfterMs, () => {
      this.#offline = true;
      for (const attempt of this.#open) this.#store(attempt);
    });
  }

  welcomed(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#offline = false;
  }

  /** Resolves when nothing is being written. */
  async settle(): Promise<void> {
    this.#timer?.cancel();
    while (this.#storing !== null) await this.#storing;
  }

  #accept(attempt: Attempt): void {
    this.#close(attempt);
    this.#deps.accepted(attempt);
  }

  #close(attempt: Attempt): void {
    this.#open.delete(attempt);
    this.#waiting.delete(attempt);
    const file = this.#files.get(attempt.key);
    if (file === undefined) return;
    this.#files.delete(attempt.key);
    const left = (this.#fileCounts.get(file) ?? 1) - 1;
    this.#fileCounts.set(file, left);
    if (left > 0) return;
    this.#fileCounts.delete(file);
    this.#remove(file);
  }

  /** One that stays is said once more by the agent's next life, and accepted as a repetition. */
  #remove(file: string): void {
    this.#deps.files.remove(file).catch((error: unknown) => {
      this.#deps.logger.error({ error, file }, "Cannot remove from the outbox what has been accepted");
    });
  }

  #store(attempt: Attempt): void {
    if (this.#files.has(attempt.key) || this.#writing.has(attempt)) return;
    this.#waiting.add(attempt);
    this.#storing ??= this.#storeWaiting().finally(() => {
      this.#storing = null;
    });
  }

  async #storeWaiting(): Promise<void> {
    // What else this turn brings goes into the same file.
    await new Promise<void>((resolve) => this.#deps.clock.soon(resolve));
    while (this.#waiting.size > 0) {
      const attempts = [...this.#waiting];
      this.#writing = new Set(attempts);
      this.#waiting.clear();
      const byKey = new Map(attempts.map((attempt) => [attempt.key, attempt]));
      const units = this.#deps.connection.kept(byKey).map(({ unit, attempt }) => ({
        ...nameOf(attempt),
        kind: unit.kind,
        text: unit.text,
      }));
      try {
        const file = await this.#deps.files.store(units);
        this.#stored(file, attempts);
      } catch (error) {
        // Not safe, so nobody is told so: the program keeps its answer, and the next report tries again.
        this.#deps.logger.error({ error }, "Cannot write the outbox");
        for (const attempt of attempts) if (this.#open.has(attempt)) this.#waiting.add(attempt);
        return;
      } finally {
        this.#writing.clear();
      }
    }
  }

  #stored(file: string, attempts: readonly Attempt[]): void {
    const open = attempts.filter((attempt) => this.#open.has(attempt));
    if (open.length === 0) {
      this.#remove(file);
      return;
    }
    this.#fileCounts.set(file, open.length);
    for (const attempt of open) {
      this.#files.set(attempt.key, file);
      this.#deps.stored(attempt);
    }
  }
}
