import type { Socket } from "node:net";

/** Calls back with the whole lines that arrived together. */
export function readLines(socket: Socket, take: (lines: string[]) => void): void {
  let rest = "";
  socket.setEncoding("utf8").on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (lines.length > 0) take(lines);
  });
}

export function writeLines(socket: Socket, messages: readonly object[]): void {
  if (messages.length > 0) socket.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(""));
}

/** What a program says first. */
export interface Hello {
  readonly role: "producer" | "worker";
}

export interface Job {
  readonly key: string;
  readonly input: number;
}

export interface Result {
  readonly key: string;
  readonly output: number;
}
