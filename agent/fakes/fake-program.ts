import { createHash } from "node:crypto";
import type { Sha256 } from "#shared/domain/ids.ts";

/**
 * A program in the task protocol, as an executable script: what it does with a work is said by the work's name, as a
 * function of the script below. It reconnects and keeps its answers as an SDK would.
 */
const script = `
import { createConnection } from "node:net";
import { appendFileSync, fstatSync, openSync, writeFileSync, readFileSync, symlinkSync, mkdirSync, existsSync, linkSync } from "node:fs";
import { spawn, execFileSync } from "node:child_process";

const kept = new Map();
const queue = [];
let busy = false;
let socket = null;
const cancelled = new Set();
const handlers = {};
const send = (frame) => socket?.write(JSON.stringify(frame) + "\\n");
const offsets = () => ({ stdout: fstatSync(1).size, stderr: fstatSync(2).size });
const json = (value) => ({ json: JSON.stringify(value) });
const answer = (frame) => { const work = kept.get(frame.argsId); if (work) work.answer = frame; send(frame); };
const done = (argsId, value, more = {}) => answer({ t: "done", argsId, offsets: offsets(), output: json(value), ...more });
const fail = (argsId, type, message = type) => answer({ t: "fail", argsId, offsets: offsets(), failure: { type, message, retryable: true } });
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const input = (work) => JSON.parse("json" in work.input ? work.input.json : readFileSync(work.input.path, "utf8"));

const does = {
  noop: (work) => done(work.argsId, null),
  echo: (work) => done(work.argsId, { input: input(work), refs: work.refs, attempt: work.attempt, name: work.name, task: work.task }),
  manyRefs(work) {
    const refs = JSON.parse(readFileSync(work.manyRefs.path, "utf8"));
    const files = Object.values(refs).filter((ref) => ref.path).map((ref) => fstatSync(openSync(ref.path)).size);
    done(work.argsId, { count: Object.keys(refs).length, last: Object.values(refs).at(-1).json ?? null, files });
  },
  pid: (work) => done(work.argsId, process.pid),
  env: (work) => done(work.argsId, { env: process.env, cwd: process.cwd(), folder: work.folder }),
  litter: (work) => { const found = existsSync(work.folder + "/left"); writeFileSync(work.folder + "/left", "x"); done(work.argsId, found); },
  async print(work) { process.stdout.write("out " + JSON.stringify(input(work)) + "\\n"); process.stderr.write("err\\n"); done(work.argsId, null); },
  async printSlowly(work) { process.stdout.write("first\\n"); await sleep(400); process.stdout.write("second\\n"); done(work.argsId, null); },
  printBytes(work) { writeFileSync(1, Buffer.from(input(work), "base64")); done(work.argsId, null); },
  printMuch(work) { const line = "x".repeat(65536); for (let n = 0; n < input(work); n += 65536) writeFileSync(1, line); done(work.argsId, null); },
  flood(work) { const line = "y".repeat(1024 * 1024); for (;;) writeFileSync(1, line); },
  fail: (work) => fail(work.argsId, "Broken", "it broke"),
  exit: (work) => { process.stderr.write("last words\\n"); process.exit(input(work)); },
  abort: () => process.kill(process.pid, "SIGABRT"),
  async wait(work) { await sleep(input(work)); if (!cancelled.has(work.argsId)) done(work.argsId, "waited"); },
  spin(work) { const end = Date.now() + input(work); while (Date.now() < end); done(work.argsId, "spun"); },
  never: () => new Promise(() => {}),
  stubborn: (work) => { process.on("SIGTERM", () => {}); writeFileSync(input(work), "ready"); return new Promise(() => {}); },
  async child(work) { const child = spawn("/bin/sleep", ["1000"], { stdio: "ignore" }); process.stdout.write("child " + child.pid + "\\n"); await new Promise(() => {}); },
  exitOnCancel(work) { handlers[work.argsId] = () => process.exit(0); return new Promise(() => {}); },
  yieldOnCancel(work) { return new Promise((resolve) => { handlers[work.argsId] = () => { fail(work.argsId, "CancelledError"); resolve(); }; }); },
  finishOnCancel(work) { return new Promise((resolve) => { handlers[work.argsId] = () => { done(work.argsId, "all the same"); resolve(); }; }); },
  twice: (work) => { done(work.argsId, 1); done(work.argsId, 2); },
  leave(work) {
    for (const { argsId } of queue.splice(0)) { send({ t: "unbegun", argsId }); kept.delete(argsId); }
    done(work.argsId, "last");
    setInterval(() => { if (!kept.has(work.argsId)) process.exit(0); }, 5);
  },
  stray: (work) => { send({ t: "done", argsId: "other", offsets: offsets(), output: json(1) }); done(work.argsId, 1); },
  garbage: () => { socket.write("this is not JSON\\n"); return new Promise(() => {}); },
  badFrame: (work) => { send({ t: "done", argsId: work.argsId, output: 7 }); return new Promise(() => {}); },
  longLine: () => { socket.write("z".repeat(5 * 1024 * 1024)); return new Promise(() => {}); },
  big(work) { const path = work.folder + "/out.json"; writeFileSync(path, JSON.stringify("b".repeat(input(work)))); done(work.argsId, 0, { output: { path, bytes: input(work) + 2 } }); },
  link(work) { const path = work.folder + "/link"; symlinkSync("/etc/passwd", path); done(work.argsId, 0, { output: { path, bytes: 10 } }); },
  linkedFolder(work) { symlinkSync("/etc", work.folder + "/dir"); done(work.argsId, 0, { output: { path: work.folder + "/dir/passwd", bytes: 10 } }); },
  hardLink(work) { linkSync(input(work), work.folder + "/hard"); done(work.argsId, 0, { output: { path: work.folder + "/hard", bytes: 10 } }); },
  outside: (work) => done(work.argsId, 0, { output: { path: "/etc/passwd", bytes: 10 } }),
  fifo(work) { const path = work.folder + "/fifo"; execFileSync("/usr/bin/mkfifo", [path]); done(work.argsId, 0, { output: { path, bytes: 10 } }); },
  file(work) { const path = work.folder + "/f.bin"; writeFileSync(path, "file body"); done(work.argsId, 0, { files: [{ path, sha256: input(work), bytes: 9 }] }); },
  fetch(work) { return new Promise((resolve) => { handlers["fetched " + work.argsId] = (frame) => { done(work.argsId, frame.path ? readFileSync(frame.path, "utf8") : frame.failure); resolve(); }; send({ t: "fetch", argsId: work.argsId, sha256: input(work) }); }); },
  emit(work) { send({ t: "emit", argsId: work.argsId, key: "e#1", name: "thing", value: json(1) }); send({ t: "progress", argsId: work.argsId, fraction: 0.5 }); done(work.argsId, null); },
  callsOut(work) { send({ t: "calls", argsId: work.argsId, given: 0, calls: [{ key: "a#1", digest: "0".repeat(64), kind: "sleep", forMs: 1 }] }); return new Promise(() => {}); },
  emitMuch(work) { for (let n = 0; n < 3000; n += 1) send({ t: "emit", argsId: work.argsId, key: "e#" + n, name: "thing", value: json(n) }); done(work.argsId, null); },
  count(work) { appendFileSync(input(work), work.task + "\\n"); done(work.argsId, work.untilMs ?? null); },
  async slowCount(work) { const { file, ms } = input(work); appendFileSync(file, work.task + "\\n"); process.stdout.write("working\\n"); await sleep(ms); process.stdout.write("worked\\n"); done(work.argsId, null); },
};

const flows = {
  calls(work) { send({ t: "calls", argsId: work.argsId, given: 0, calls: input(work) }); },
  async big(work) {
    const path = work.folder + "/in.json";
    writeFileSync(path, JSON.stringify("c".repeat(20000)));
    send({ t: "calls", argsId: work.argsId, given: 0, calls: [{ key: "a#1", digest: "0".repeat(64), kind: "task", name: "a", input: { path, bytes: 20002 } }] });
    send({ t: "calls", argsId: work.argsId, given: 0, calls: [{ key: "b#1", digest: "0".repeat(64), kind: "task", name: "b", input: { json: "1" } }] });
    send({ t: "await", argsId: work.argsId, keys: ["a#1"] });
  },
  parks(work) { send({ t: "park", argsId: work.argsId, given: 0, awaiting: ["a#1"] }); },
  waits() {},
  stops(work) { done(work.argsId, work.parkAfterMs, { given: 0 }); },
  restarts(work) { answer({ t: "restart", argsId: work.argsId, offsets: offsets(), input: json(2), given: 0 }); },
};

async function next() {
  if (busy) return;
  busy = true;
  for (let work = queue.shift(); work; work = queue.shift()) {
    if (cancelled.has(work.argsId)) continue;
    kept.get(work.argsId).begun = true;
    await does[work.name](work);
  }
  busy = false;
}

function take(frame) {
  if (frame.t === "work") {
    kept.set(frame.argsId, { given: 0, entries: [], workflow: frame.kind === "workflow", name: frame.name });
    if (frame.kind === "workflow") return flows[frame.name](frame);
    queue.push(frame);
    setImmediate(next);
  } else if (frame.t === "cancel") {
    const work = kept.get(frame.argsId);
    cancelled.add(frame.argsId);
    if (work && !work.begun && !work.workflow) { kept.delete(frame.argsId); send({ t: "fail", argsId: frame.argsId, offsets: offsets(), failure: { type: "CancelledError", message: "withdrawn", retryable: false } }); }
    handlers[frame.argsId]?.();
  } else if (frame.t === "accepted") {
    if (frame.end) kept.delete(frame.argsId);
  } else if (frame.t === "settled" || frame.t === "values") {
    const work = kept.get(frame.argsId);
    if (!work) return;
    if (frame.t === "settled") work.given = frame.entries.at(-1).p;
    work.entries.push(frame);
    const flat = JSON.stringify(work.entries);
    if (flat.includes("finish")) done(frame.argsId, work.entries, { given: work.given });
  } else if (frame.t === "parked") kept.delete(frame.argsId);
  else if (frame.t === "fetched") handlers["fetched " + frame.argsId]?.(frame);
  else if (frame.t === "resume") { const work = kept.get(frame.argsId); if (work?.answer) send(work.answer); }
  else if (frame.t === "quit") process.exit(0);
}

function dial() {
  const dialled = createConnection(process.env.SALT_SOCKET);
  let held = "";
  dialled.on("connect", () => {
    socket = dialled;
    const working = [...kept].map(([argsId, { given }]) => ({ argsId, given }));
    send({ t: "hello", protocol: 1, sdk: "fake", session: process.env.SALT_SESSION, pid: process.pid, argsId: null, working });
  });
  dialled.on("data", (chunk) => {
    held += chunk;
    const lines = held.split("\\n");
    held = lines.pop();
    for (const line of lines) take(JSON.parse(line));
  });
  dialled.on("error", () => {});
  dialled.on("close", () => { socket = null; setTimeout(dial, 1); });
}
`;

export interface FakeBinary {
  readonly bytes: Buffer;
  readonly sha256: Sha256;
}

/** An executable script under the Node that executes the tests. `start` is its last line, `salt` makes its bytes differ. */
export function fakeProgram(options: { start?: string; salt?: string } = {}): FakeBinary {
  return binaryOf(`${script}\n${options.start ?? "dial();"}\n// ${options.salt ?? ""}\n`);
}

/** An executable of any module text. */
export function binaryOf(source: string): FakeBinary {
  const bytes = Buffer.from(`#!${process.execPath}\n${source}`);
  return { bytes, sha256: createHash("sha256").update(bytes).digest("hex") as Sha256 };
}
