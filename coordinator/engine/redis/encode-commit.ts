import type { Partition } from "#shared/domain/ids.ts";
import {
  type Check,
  type ClaimWant,
  type Key,
  keyIn,
  queueIndex,
  type Score,
  type Transaction,
  type Write,
} from "../engine.ts";
import { isLease, type Keyspace, memberOfLease } from "./keyspace.ts";

/** What the commit script takes: see its header. */
export interface Program {
  readonly keys: readonly string[];
  /** Begins with the steps. */
  readonly args: readonly string[];
}

/** Arguments of the commit that are not of the batch: from the second on. */
export type CommitHead = readonly [passedMs: string, fixedMs: string, server: string, sharded: string];

export interface CommitRequest {
  readonly partition: Partition;
  readonly batch: readonly Transaction[];
  readonly claim: ClaimWant | undefined;
  readonly head: CommitHead;
}

/** A batch and its claim as steps and their operands, all flat strings. */
export function encodeCommit(keyspace: Keyspace, { partition, batch, claim, head }: CommitRequest): Program {
  const program = new ProgramWriter(keyspace, partition, head);
  for (const { checks, writes, after } of batch) {
    program.step("|");
    if (after !== undefined) for (const earlier of after) program.step(">", String(earlier + 1));
    for (const check of checks) program.check(check);
    for (const write of writes) program.write(write);
  }
  if (claim !== undefined) program.claim(claim);
  return program.done();
}

type Kind = "record" | "index" | "log" | "queue" | "lease";

class ProgramWriter {
  readonly #keyspace: Keyspace;
  readonly #partition: Partition;
  readonly #keys: string[];
  /** The number of a key in `#keys`, as the program says it, by what it is called in the batch: such names are hashed already. */
  readonly #numbers: Record<Kind, Map<string, string>> = {
    record: new Map(),
    index: new Map(),
    log: new Map(),
    queue: new Map(),
    lease: new Map(),
  };
  readonly #args: string[];
  #steps = "";

  constructor(keyspace: Keyspace, partition: Partition, head: CommitHead) {
    this.#keyspace = keyspace;
    this.#partition = partition;
    this.#keys = [keyspace.engine(partition)];
    this.#args = ["", ...head];
  }

  done(): Program {
    this.#args[0] = this.#steps;
    return { keys: this.#keys, args: this.#args };
  }

  step(letter: string, argument?: string): void {
    this.#steps += letter;
    if (argument !== undefined) this.#args.push(argument);
  }

  #on(letter: string, kind: Kind, name: string): string[] {
    const numbers = this.#numbers[kind];
    let number = numbers.get(name);
    if (number === undefined) {
      number = numberText(this.#keys.push(this.#keyOf(kind, name)) - 1);
      numbers.set(name, number);
    }
    this.#steps += letter + number;
    return this.#args;
  }

  #keyOf(kind: Kind, name: string): string {
    switch (kind) {
      case "queue":
        return this.#keyspace.index(queueIndex(this.#partition, name));
      case "lease":
        return this.#keyspace.record(keyIn(this.#partition, `lease/${name}`));
      default:
        return this.#keyspace[kind](name as Key);
    }
  }

  check(check: Check): void {
    switch (check.kind) {
      case "stamp":
        if (check.stamp === null) this.#on("a", "record", check.key);
        else if (check.stamp === "counter") this.#on("c", "record", check.key);
        else this.#on("s", "record", check.key).push(`${check.stamp}\n`);
        break;
      case "fewer":
        if (check.member === undefined) this.#on("f", "index", check.index).push(String(check.than));
        else this.#on("m", "index", check.index).push(String(check.than), check.member);
        break;
      case "end":
        this.#on("e", "log", check.log).push(String(check.position));
    }
  }

  write(write: Write): void {
    switch (write.kind) {
      case "set":
        this.#on("S", "record", write.key).push(`${write.stamp}\n${write.value}`);
        break;
      case "delete":
        if (isLease(write.key)) this.#on("L", "record", write.key).push(memberOfLease(write.key));
        else this.#on("D", "record", write.key);
        break;
      case "rank":
        if (write.value === undefined) this.#on("R", "index", write.index).push(scoreText(write.score), write.member);
        else this.#on("V", "index", write.index).push(scoreText(write.score), write.member, write.value);
        break;
      case "unrank":
        this.#on("U", "index", write.index).push(write.member);
        break;
      case "enqueue":
        this.#on("E", "queue", write.queue).push(scoreText(write.score), write.member);
        break;
      case "dequeue":
        this.#on("Q", "queue", write.queue).push(write.member);
        break;
      case "hold":
        this.#hold(write);
        break;
      case "release":
        this.#on("X", "lease", write.member).push(write.member);
        break;
      case "append":
        this.#on("P", "log", write.log).push(write.value);
        break;
      case "trim":
        this.#on("Y", "log", write.log).push(String(write.through));
        break;
      case "add":
        this.#on("N", "record", write.counter).push(String(write.delta));
        break;
      case "signal":
        this.step("G", this.#keyspace.channel(write.topic));
        this.#args.push(write.note);
    }
  }

  #hold({ member, forMs, state, holder }: Write & { kind: "hold" }): void {
    if (state === undefined && holder === undefined) {
      this.step("H", member);
      this.#args.push(String(forMs));
    } else {
      this.#on("I", "lease", member).push(member, String(forMs), jsonOr(state), jsonOr(holder));
    }
  }

  claim({ holdMs, wants }: ClaimWant): void {
    const numbers = new Map<string, number>();
    for (const { queues } of wants) {
      for (const queue of queues) if (!numbers.has(queue)) numbers.set(queue, numbers.size + 1);
    }
    this.step("C", String(holdMs));
    this.#args.push(String(numbers.size));
    for (const queue of numbers.keys()) {
      this.#args.push(String(this.#keys.push(this.#keyOf("queue", queue))), JSON.stringify(queue));
    }
    this.#args.push(String(wants.length));
    for (const { holder, queues, take } of wants) {
      const asked = queues.map((queue) => numbers.get(queue)).join(" ");
      this.#args.push(JSON.stringify(holder), String(take), asked);
    }
  }
}

const digits = 95;
const digit = (value: number): string => String.fromCharCode(32 + (value % digits));
const smallNumbers = Array.from({ length: 1_000 }, (_, index) => threeDigits(index));
const numberText = (index: number): string => smallNumbers[index] ?? threeDigits(index);

function threeDigits(index: number): string {
  return digit(Math.floor(index / digits ** 2)) + digit(Math.floor(index / digits)) + digit(index);
}

const jsonOr = (text: string | undefined): string => (text === undefined ? "" : JSON.stringify(text));

const scoreText = (score: Score): string => ("at" in score ? String(score.at) : `+${score.nowPlusMs}`);
