import { writeSync } from "node:fs";
import { partitionAt } from "#shared/domain/ids.ts";
import { systemClock } from "#shared/system.ts";
import { type Key, keyIn, type Transaction, type Write } from "../engine.ts";
import { createSqliteEngine } from "./sqlite-engine.ts";

/**
 * A process for `durability.test.ts` to kill: it commits number after number to the file named by its argument, and
 * prints each once its commit has answered.
 */
const partition = partitionAt(0);
const key = (name: string): Key => keyIn(partition, name);

/** What one number is in the database, in every kind of thing that a commit writes. */
function numbered(number: number): Transaction {
  const member = String(number);
  const writes: Write[] = [
    { kind: "set", key: key("last"), stamp: member, value: member },
    { kind: "append", log: key("log"), value: member },
    { kind: "rank", index: key("index"), member, score: { at: number } },
    { kind: "add", counter: key("count"), delta: 1 },
    { kind: "enqueue", queue: "q", member, score: { at: number } },
  ];
  return { checks: [{ kind: "end", log: key("log"), position: number - 1 }], writes };
}

const [file] = process.argv.slice(2);
if (file !== undefined) {
  const engine = createSqliteEngine({ file, clock: systemClock });
  const start = (await engine.get([key("count")])).found[0]?.value ?? "0";
  for (let number = Number(start) + 1; ; number++) {
    const claim = { holdMs: 60_000, wants: [{ holder: "agt_1/1", queues: ["q"], take: 1 }] };
    const { results, claims } = await engine.commit(partition, [numbered(number)], claim);
    if (results[0]?.outcome !== "applied" || claims.length !== 1) throw new Error(`Number ${number} was refused.`);
    writeSync(1, `${number}\n`);
  }
}
