import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentToProgramFrame, type ProgramFrame, programFrameSchema, type Work } from "#shared/protocol/task.ts";

/** An agent for tests: a real Unix socket and a real process, with frames written and checked by hand. */
export class FakeAgent {
  readonly folder = mkdtempSync(join(tmpdir(), "salt-sdk-"));
  readonly frames: ProgramFrame[] = [];
  readonly #server: Server;
  readonly #entry: string;
  #socket: Socket | null = null;
  #child: ChildProcess | null = null;
  #waiting: (() => void)[] = [];
  #count = 0;
  readonly #descriptors: number[] = [];

  private constructor(entry: string, server: Server) {
    this.#entry = entry;
    this.#server = server;
    server.on("connection", (socket) => this.#accept(socket));
  }

  static async listen(entry: string): Promise<FakeAgent> {
    const agent = new FakeAgent(entry, createServer());
    await agent.open();
    return agent;
  }

  get socketPath(): string {
    return join(this.folder, "s");
  }

  async open(): Promise<void> {
    this.#server.listen(this.socketPath);
    await once(this.#server, "listening");
  }

  spawn(...args: string[]): ChildProcess {
    const open = (name: string): number => {
      const descriptor = openSync(join(this.folder, name), "w");
      this.#descriptors.push(descriptor);
      return descriptor;
    };
    this.#child = spawn(process.execPath, [this.#entry, ...args], {
      env: { PATH: "/usr/bin:/bin", SALT_SOCKET: this.socketPath, SALT_SESSION: "secret" },
      stdio: ["ignore", open("stdout"), open("stderr")],
    });
    return this.#child;
  }

  async exitCode(): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return child?.exitCode ?? null;
    const [code] = (await once(child, "exit")) as [number | null];
    return code;
  }

  output(stream: "stdout" | "stderr"): string {
    return readFileSync(join(this.folder, stream), "utf8");
  }

  /** Work with a folder of its own. */
  work(work: Partial<Work> & Pick<Work, "kind" | "name">, input: unknown = null): Work {
    this.#count += 1;
    const folder = join(this.folder, `work-${this.#count}`);
    mkdirSync(folder);
    const argsId = `a${this.#count}`;
    const task = `run_${"0".repeat(28)}/${argsId}`;
    return { t: "work", argsId, task, attempt: 1, input: { json: JSON.stringify(input) }, folder, ...work };
  }

  send(...frames: AgentToProgramFrame[]): void {
    this.#socket?.write(frames.map((frame) => `${JSON.stringify(frame)}\n`).join(""));
  }

  /** The next frame, taken out of `frames`, that fits. */
  async next<T extends ProgramFrame["t"]>(
    t: T,
    fits: (frame: Extract<ProgramFrame, { t: T }>) => boolean = () => true,
  ): Promise<Extract<ProgramFrame, { t: T }>> {
    const isIt = (frame: ProgramFrame): frame is Extract<ProgramFrame, { t: T }> =>
      frame.t === t && fits(frame as Extract<ProgramFrame, { t: T }>);
    for (;;) {
      const index = this.frames.findIndex(isIt);
      const [found] = index === -1 ? [] : this.frames.splice(index, 1);
      if (found !== undefined && isIt(found)) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  /** Cuts the connection; the program dials again. */
  cut(): void {
    this.#socket?.destroy();
  }

  /** The agent dies and comes back: nobody listens in between. */
  async restart(): Promise<void> {
    this.#socket?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.open();
  }

  close(): void {
    this.#child?.kill("SIGKILL");
    this.#socket?.destroy();
    this.#server.close();
    for (const descriptor of this.#descriptors) closeSync(descriptor);
    rmSync(this.folder, { recursive: true, force: true });
  }

  #accept(socket: Socket): void {
    this.#socket = socket;
    let rest = "";
    socket.setEncoding("utf8");
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk: string) => {
      const lines = `${rest}${chunk}`.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.frames.push(programFrameSchema.parse(JSON.parse(line)));
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }
}
