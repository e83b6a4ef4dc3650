/**
 * Takes jobs from the producer, hands them to the workers, and passes a result on when its row is durable. Nothing else:
 * no lease, no retry, no journal. `node broker.ts <folder>`; it sends `{ready}` and answers `{count}` to its parent.
 */
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { type Hello, type Job, type Result, readLines, writeLines } from "./lines.ts";

/** As many as Salt's agent gives to a process in advance, and as many as its coordinator commits together. */
const windowJobs = 64;
const batchJobs = 100;

const folder = process.argv[2] ?? ".";
const db = new DatabaseSync(join(folder, "bare.db"));
db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
db.exec("CREATE TABLE job (key TEXT PRIMARY KEY, output TEXT NOT NULL) STRICT, WITHOUT ROWID");
const begin = db.prepare("BEGIN IMMEDIATE");
const commit = db.prepare("COMMIT");
const insert = db.prepare("INSERT INTO job VALUES (?, ?)");

let producer: Socket | null = null;
const workers: { readonly socket: Socket; given: number }[] = [];
const jobs: Job[] = [];
let taken = 0;
const results: Result[] = [];

function handOut(): void {
  for (const worker of workers) {
    const batch = jobs.slice(taken, taken + windowJobs - worker.given);
    taken += batch.length;
    worker.given += batch.length;
    writeLines(worker.socket, batch);
  }
  if (taken < jobs.length) return;
  jobs.length = 0;
  taken = 0;
}

function commitResults(): void {
  const batch = results.splice(0, batchJobs);
  begin.run();
  for (const { key, output } of batch) insert.run(key, JSON.stringify(output));
  commit.run();
  if (producer) writeLines(producer, batch);
  if (results.length > 0) setImmediate(commitResults);
}

const server = createServer((socket) => {
  let take: ((lines: string[]) => void) | null = null;
  readLines(socket, (lines) => {
    if (take === null) {
      const hello = JSON.parse(lines.shift() ?? "") as Hello;
      take = hello.role === "producer" ? listenToProducer(socket) : listenToWorker(socket);
    }
    if (lines.length > 0) take(lines);
  });
});

function listenToProducer(socket: Socket): (lines: string[]) => void {
  producer = socket;
  return (lines) => {
    for (const line of lines) jobs.push(JSON.parse(line) as Job);
    handOut();
  };
}

function listenToWorker(socket: Socket): (lines: string[]) => void {
  const worker = { socket, given: 0 };
  workers.push(worker);
  return (lines) => {
    worker.given -= lines.length;
    if (results.length === 0) setImmediate(commitResults);
    for (const line of lines) results.push(JSON.parse(line) as Result);
    handOut();
  };
}

process.on("message", ({ count }: { count: string }) => {
  const row = db.prepare("SELECT count(*) AS rows FROM job WHERE key GLOB ?").get(`${count}/*`);
  process.send?.({ rows: row?.rows });
});
process.on("disconnect", () => process.exit(0));
server.listen(join(folder, "bare.sock"), () => process.send?.({ ready: true }));
