import { z } from "zod";
import { type LogRow, logRowSchema } from "#shared/protocol/api.ts";

/** One event of a log stream: the chunks that were stored together. */
export const logRowsSchema = z.array(logRowSchema);

export interface LogLine {
  readonly key: string;
  readonly stream: "stdout" | "stderr";
  readonly atMs: number;
  readonly text: string;
}

/** A line without an end is handed on in pieces of this length, so that memory is bounded. */
const lineCharsMax = 16 * 1024;

/** Puts chunks of output together to lines: a chunk may end anywhere in one, even within a character. */
export class LogLines {
  readonly #streams = new Map<string, { decoder: TextDecoder; rest: string }>();

  /** Lines that this chunk completes. */
  take(row: LogRow): LogLine[] {
    const id = `${row.key}\n${row.fence}\n${row.stream}`;
    const stream = this.#streams.get(id) ?? { decoder: new TextDecoder(), rest: "" };
    this.#streams.set(id, stream);
    const text =
      row.base64 === undefined ? row.text : stream.decoder.decode(Buffer.from(row.base64, "base64"), { stream: true });
    const lines = (stream.rest + (text ?? "")).split("\n");
    stream.rest = lines.pop() ?? "";
    while (stream.rest.length > lineCharsMax) {
      lines.push(stream.rest.slice(0, lineCharsMax));
      stream.rest = stream.rest.slice(lineCharsMax);
    }
    if (row.cut) lines.push("[the log was cut here, at its limit]");
    return lines.map((line) => ({ key: row.key, stream: row.stream, atMs: row.atMs, text: line }));
  }

  /** What is left without a line end, once nothing more comes. */
  flush(): LogLine[] {
    const left: LogLine[] = [];
    for (const [id, { rest }] of this.#streams) {
      const [key = "", , stream] = id.split("\n");
      if (rest !== "") left.push({ key, stream: stream === "stderr" ? "stderr" : "stdout", atMs: 0, text: rest });
    }
    this.#streams.clear();
    return left;
  }
}
