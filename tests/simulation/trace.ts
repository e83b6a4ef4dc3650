export interface TraceLine {
  readonly atMs: number;
  readonly node: string;
  readonly what: string;
  readonly detail: string;
}

const detailCharsMax = 2_000;

/**
 * What happened, in order: for people when a seed fails, and as one number that is the same when the same happened. Every
 * character counts for the number, also of what is cut when it is shown.
 */
export class Trace {
  readonly lines: TraceLine[] = [];
  #low = 0x811c9dc5;
  #high = 0x01234567;
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  note(node: string, what: string, detail = ""): void {
    const atMs = this.#nowMs();
    this.#mix(String(atMs));
    this.#mix(node);
    this.#mix(what);
    this.#mix(detail);
    this.lines.push({ atMs, node, what, detail });
  }

  get hash(): string {
    return `${(this.#high >>> 0).toString(16)}${(this.#low >>> 0).toString(16)}`;
  }

  /** Two FNV-1a sums, of which one is turned: together they differ where what happened does. */
  #mix(text: string): void {
    let low = this.#low;
    let high = this.#high;
    for (let index = 0; index < text.length; index += 1) {
      const unit = text.charCodeAt(index);
      low = Math.imul(low ^ unit, 0x01000193);
      high = Math.imul((high << 5) ^ (high >>> 27) ^ unit, 0x85ebca6b);
    }
    this.#low = low;
    this.#high = high;
  }

  show(last = this.lines.length): string {
    const lines = this.lines.slice(-last);
    const nodes = Math.max(4, ...lines.map(({ node }) => node.length));
    const whats = Math.max(4, ...lines.map(({ what }) => what.length));
    return lines
      .map(({ atMs, node, what, detail }) => {
        const time = (atMs / 1000).toFixed(4).padStart(10);
        return `${time}  ${node.padEnd(nodes)}  ${what.padEnd(whats)}  ${shorten(detail)}`;
      })
      .join("\n");
  }
}

const shorten = (text: string): string =>
  text.length <= detailCharsMax ? text : `${text.slice(0, detailCharsMax)}… (${text.length})`;
