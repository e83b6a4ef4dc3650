/**
 * Fork servers: of a release in Python whose tasks get fresh processes, one process that has imported the project and forks
 * each of them, in milliseconds (`sdk/python/src/salt/_program/fork_server.py` is the other end).
 *
 * F1  It is never needed: where it cannot be started, refuses, or is silent, programs are started as any other, and what is
 *     wrong with the project shows there.
 * F2  What it forks is as what `Processes.launch` starts: a process group, environment, folders and streams of its own, an
 *     exit file, a session that its hello proves. It outlives the server, and the agent.
 * F3  While it lives its binary stays in the cache. It ends with the agent, and when it was not asked for `idleMs`.
 */
import { join } from "node:path";
import { z } from "zod";
import type { Timer } from "#shared/ports.ts";
import type { Programs } from "../cache/programs.ts";
import type { AgentDeps } from "../options.ts";
import type { Disk, LaunchOptions, Processes, ProgramLink } from "../ports.ts";
import { type PoolIdentity, poolKeyOf } from "./pool.ts";
import { hashSession } from "./program-socket.ts";
import type { ForkEvents, Forks } from "./start-program.ts";

const idleMs = 10 * 60_000;
/** Importing a project may take that long. */
const helloMs = 60_000;
const answerMs = 30_000;
/** Before another is started in place of one that did not serve. */
const againMs = 60_000;
const serversMax = 8;
const stderrCharsTold = 1_000;
const lineCharsMax = 64 * 1024;

const frameSchema = z.discriminatedUnion("t", [
  z.object({ t: z.literal("hello"), session: z.string(), pid: z.int() }),
  z.object({ t: z.literal("forked"), id: z.int(), pid: z.int().min(2) }),
  z.object({ t: z.literal("refused"), id: z.int(), why: z.string().max(1_000) }),
  z.object({ t: z.literal("exited"), id: z.int(), signal: z.string().max(20).nullable() }),
]);
type Frame = z.infer<typeof frameSchema>;

interface ForkDeps extends AgentDeps {
  readonly disk: Disk;
  readonly processes: Processes;
  readonly socketFolder: string;
  /** For the servers' own folders. */
  readonly folder: string;
  readonly programs: Programs;
}

interface Asked extends ForkEvents {
  readonly exitFile: string;
  /** Null once it has been answered. */
  answer: ((pid: number | null) => void) | null;
}

export class ForkServers implements Forks {
  readonly #deps: ForkDeps;
  /** In order of last use. */
  readonly #servers = new Map<string, ForkServer>();
  /** When a pool may have a server again, on the monotonic clock. */
  readonly #failed = new Map<string, number>();
  #count = 0;

  constructor(deps: ForkDeps) {
    this.#deps = deps;
  }

  /** Removes what the servers of an earlier life left, which have ended with it. */
  async open(): Promise<void> {
    await this.#deps.disk.remove(this.#deps.folder);
  }

  serves({ python, policy, kind }: PoolIdentity): boolean {
    return python !== undefined && policy === "fresh" && kind === "task";
  }

  /** Forks a program; null when it has to be started as others are (F1). */
  async fork(pool: PoolIdentity, options: LaunchOptions, events: ForkEvents): Promise<{ readonly pid: number } | null> {
    const key = poolKeyOf(pool);
    if ((this.#failed.get(key) ?? 0) > this.#deps.clock.monotonicMs()) return null;
    this.#failed.delete(key);
    const server = this.#servers.get(key) ?? this.#start(key, pool, options);
    this.#servers.delete(key);
    this.#servers.set(key, server);
    const [oldest] = this.#servers.values();
    if (this.#servers.size > serversMax) oldest?.end();
    const pid = await server.fork(options, events);
    return pid === null ? null : { pid };
  }

  #start(key: string, pool: PoolIdentity, options: LaunchOptions): ForkServer {
    const { programs, folder } = this.#deps;
    programs.pin(pool.binary);
    this.#count += 1;
    const name = `fork.${this.#count}`;
    return new ForkServer(this.#deps, { name, folder: join(folder, name), options }, (why) => {
      programs.unpin(pool.binary);
      this.#servers.delete(key);
      if (why === null) return;
      this.#failed.set(key, this.#deps.clock.monotonicMs() + againMs);
      this.#deps.logger.warn({ project: pool.project, why }, "No fork server: fresh processes start without");
    });
  }

  close(): void {
    for (const server of [...this.#servers.values()]) server.end();
  }
}

interface ServerOptions {
  readonly name: string;
  readonly folder: string;
  readonly options: LaunchOptions;
}

class ForkServer {
  readonly #deps: ForkDeps;
  /** Called once; with why when it did not serve. */
  readonly #ended: (why: string | null) => void;
  readonly #asked = new Map<number, Asked>();
  readonly #ready = Promise.withResolvers<boolean>();
  #link: ProgramLink | null = null;
  #listening: { close(): void } | null = null;
  #pid: number | null = null;
  #timer: Timer;
  #isOver = false;
  #count = 0;

  constructor(deps: ForkDeps, options: ServerOptions, ended: (why: string | null) => void) {
    this.#deps = deps;
    this.#ended = ended;
    this.#timer = deps.clock.after(helloMs, () => this.end("it did not say hello in time"));
    this.#start(options).catch((error) => this.end(String(error)));
  }

  /** The pid of the process group's leader. */
  async fork(options: LaunchOptions, events: ForkEvents): Promise<number | null> {
    if (!(await this.#ready.promise) || this.#link === null) return null;
    this.#rest();
    this.#count += 1;
    const id = this.#count;
    const { env, cwd, stdout, stderr, exitFile } = options;
    const answered = Promise.withResolvers<number | null>();
    this.#asked.set(id, { ...events, exitFile, answer: answered.resolve });
    this.#link.write(`${JSON.stringify({ t: "fork", id, env, cwd, stdout, stderr, exitFile })}\n`);
    const timer = this.#deps.clock.after(answerMs, () => this.end("it did not answer in time"));
    const pid = await answered.promise;
    timer.cancel();
    return pid;
  }

  async #start({ name, folder, options }: ServerOptions): Promise<void> {
    const { disk, processes, socketFolder, random } = this.#deps;
    await disk.makeFolder(join(folder, "tmp"));
    const session = Buffer.from(random.bytes(32)).toString("hex");
    const socket = join(socketFolder, name);
    this.#listening = await processes.listen(socket, (link) => this.#meet(link, hashSession(session)));
    const { SALT_SOCKET: _, SALT_SESSION: __, ...env } = options.env;
    const own = { HOME: folder, TMPDIR: join(folder, "tmp"), SALT_FORK_SOCKET: socket, SALT_FORK_SESSION: session };
    const launched = {
      ...options,
      ...{ env: { ...env, ...own }, cwd: folder, exitFile: join(folder, "exit") },
      ...{ stdout: join(folder, "stdout"), stderr: join(folder, "stderr") },
    };
    const child = processes.launch(launched, () => void this.#buried(folder));
    this.#pid = child?.pid ?? null;
    if (this.#isOver) this.#kill();
  }

  /** Its process is gone; the last that it said tells why. */
  async #buried(folder: string): Promise<void> {
    const { disk } = this.#deps;
    const said = (await disk.read(join(folder, "stderr")).catch(() => null)) ?? "";
    await disk.remove(folder);
    this.end(`it has ended: ${said.trim().slice(-stderrCharsTold)}`);
  }

  #meet(link: ProgramLink, sessionHash: string): void {
    let line = "";
    let isProven = false;
    link.on("error", () => link.destroy());
    link.on("data", (bytes) => {
      const lines = (line + bytes.toString()).split("\n");
      line = lines.pop() ?? "";
      for (const text of lines) {
        const frame = readFrame(text);
        isProven ||= frame?.t === "hello" && this.#link === null && hashSession(frame.session) === sessionHash;
        if (!isProven || frame === null) return void link.destroy();
        if (frame.t === "hello") this.#greet(link);
        else this.#hear(frame);
      }
      if (line.length > lineCharsMax) link.destroy();
    });
  }

  #greet(link: ProgramLink): void {
    this.#link = link;
    this.#rest();
    this.#ready.resolve(true);
  }

  #rest(): void {
    this.#timer.cancel();
    this.#timer = this.#deps.clock.after(idleMs, () => this.end());
  }

  #hear(frame: Exclude<Frame, { t: "hello" }>): void {
    const asked = this.#asked.get(frame.id);
    if (asked === undefined) return;
    if (frame.t === "forked") {
      asked.answer?.(frame.pid);
      asked.answer = null;
      return;
    }
    this.#asked.delete(frame.id);
    asked.answer?.(null);
    if (frame.t === "refused") {
      this.end(frame.why);
      return;
    }
    const killed = { code: null, signal: frame.signal as NodeJS.Signals | null };
    const exit = this.#deps.processes.readExit(asked.exitFile) ?? killed;
    // Not before who asked has taken up what was forked.
    this.#deps.clock.soon(() => asked.exited(exit));
  }

  /** Its children go on. `why`: it did not serve as it should. */
  end(why: string | null = null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#timer.cancel();
    this.#ready.resolve(false);
    this.#listening?.close();
    this.#link?.destroy();
    this.#kill();
    for (const { answer, orphaned } of this.#asked.values()) {
      if (answer === null) orphaned();
      else answer(null);
    }
    this.#ended(why);
  }

  #kill(): void {
    if (this.#pid !== null) this.#deps.processes.signalGroup(this.#pid, "SIGKILL");
  }
}

function readFrame(text: string): Frame | null {
  try {
    return frameSchema.safeParse(JSON.parse(text)).data ?? null;
  } catch {
    return null;
  }
}
