/** A fenced block of a page. `info` is what stands behind the three backticks. */
export interface DocBlock {
  readonly line: number;
  readonly info: readonly string[];
  readonly text: string;
}

export function docBlocks(markdown: string): DocBlock[] {
  const blocks: DocBlock[] = [];
  const lines = markdown.split("\n");
  for (let at = 0; at < lines.length; at++) {
    const fence = /^```(.+)$/.exec(lines[at] ?? "");
    if (fence === null) continue;
    const end = lines.indexOf("```", at + 1);
    if (end < 0) throw new Error(`The block at line ${at + 1} has no end.`);
    blocks.push({ line: at + 1, info: (fence[1] ?? "").split(" "), text: lines.slice(at + 1, end).join("\n") });
    at = end;
  }
  return blocks;
}

/** Whether a text has these lines in this order, each as part of one of its own; `…` stands for anything between. */
export function hasLines(text: string, wanted: string): boolean {
  const found = text.split("\n");
  let at = 0;
  for (const line of wanted.split("\n").filter((line) => line.trim() !== "…")) {
    const words = line.trim();
    while (at < found.length && !(found[at] ?? "").includes(words)) at++;
    if (at++ >= found.length) return false;
  }
  return true;
}
