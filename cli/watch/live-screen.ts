import { type Cli, canRepaint } from "../cli.ts";

const repaintMs = 100;

/**
 * Lines that scroll by, and below them a block that is painted over. Without a terminal there is only the first.
 * When the screen is closed the block is gone, or stays as it was last.
 */
export class LiveScreen {
  readonly #cli: Cli;
  readonly #block: () => readonly string[];
  readonly #live: boolean;
  #painted = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(cli: Cli, block: () => readonly string[]) {
    this.#cli = cli;
    this.#block = block;
    this.#live = canRepaint(cli);
    if (this.#live) this.#timer = setInterval(() => this.#paint(), repaintMs);
  }

  get live(): boolean {
    return this.#live;
  }

  line(text: string): void {
    this.#cli.stderr.write(`${this.#erased()}${text}\n`);
  }

  close(options: { readonly keep: boolean }): void {
    if (this.#timer) clearInterval(this.#timer);
    this.#timer = null;
    if (options.keep && this.#live) this.#paint();
    else this.#cli.stderr.write(this.#erased());
  }

  #paint(): void {
    const lines = this.#block();
    const erased = this.#erased();
    this.#painted = lines.length;
    this.#cli.stderr.write(erased + lines.map((line) => `${line}\n`).join(""));
  }

  /** The sequence that takes the block away. */
  #erased(): string {
    const lines = this.#painted;
    this.#painted = 0;
    return lines === 0 ? "" : `\x1b[${lines}A\r\x1b[J`;
  }
}
