import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import type { LogRecord } from "./log-records.ts";

/** An archived log: its entries as lines of JSON, in their order, compressed with gzip. */
export const packLog = (entries: readonly string[]): Promise<Uint8Array> => promisify(gzip)(entries.join("\n"));

/** The entries of an archive as they were stored. */
export async function unpackLog(bytes: Uint8Array): Promise<string[]> {
  const text = (await promisify(gunzip)(bytes)).toString();
  return text === "" ? [] : text.split("\n");
}

export const parseEntry = (value: string): LogRecord => JSON.parse(value) as LogRecord;
