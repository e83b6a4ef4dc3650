import { bytesText } from "./bytes-text.ts";
import { type Cli, canRepaint } from "./cli.ts";
import { cutText } from "./output.ts";

const repaintMs = 100;
const barChars = 24;

/** One line that is painted over as work goes on; without a terminal nothing, for it says nothing that lasts. */
export class ProgressLine {
  readonly #cli: Cli;
  #paintedAtMs = 0;
  #painted = false;

  constructor(cli: Cli) {
    this.#cli = cli;
  }

  show(what: string, done: number, total: number): void {
    const nowMs = this.#cli.nowMs();
    if (!canRepaint(this.#cli) || (done < total && nowMs - this.#paintedAtMs < repaintMs)) return;
    this.#paintedAtMs = nowMs;
    this.#painted = true;
    const width = this.#cli.stderr.columns || 80;
    const line = `${what}  ${bar(total === 0 ? 1 : done / total)}  ${bytesText(done)} of ${bytesText(total)}`;
    this.#cli.stderr.write(`\r\x1b[K${cutText(line, width - 1)}`);
  }

  /** Takes the line away. */
  close(): void {
    if (this.#painted) this.#cli.stderr.write("\r\x1b[K");
    this.#painted = false;
  }
}

export function bar(fraction: number, chars = barChars): string {
  const full = Math.round(Math.min(1, Math.max(0, fraction)) * chars);
  return "█".repeat(full) + "░".repeat(chars - full);
}
