import { DatabaseSync } from "node:sqlite";
import { entry, journal, record, taskKey, taskName, tasks } from "./engine-moves.ts";
import type { Load, Passed } from "./pass-tasks.ts";

/**
 * The engine's peer: the rows that its moves leave, put into plain tables by `INSERT`, in as many durable transactions.
 * It checks nothing, grants nothing and keeps no index by score.
 */
export class RawSqlite {
  readonly #db: DatabaseSync;
  readonly #insert: ReturnType<typeof prepareInserts>;

  constructor(file: string) {
    this.#db = new DatabaseSync(file);
    this.#db.exec("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    this.#db.exec(`
      CREATE TABLE record (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
      CREATE TABLE log (key TEXT, position INTEGER, value TEXT NOT NULL, PRIMARY KEY (key, position)) STRICT, WITHOUT ROWID;
      CREATE TABLE ranked (key TEXT, member TEXT, score REAL NOT NULL, PRIMARY KEY (key, member)) STRICT, WITHOUT ROWID;
    `);
    this.#insert = prepareInserts(this.#db);
  }

  /** As many moves as the engine makes of the same load: half publish, half settle. */
  pass({ name, tasks: count, perCommit }: Load): Passed {
    const { begin, commit, ...insert } = this.#insert;
    const commitMs: number[] = [];
    const startMs = performance.now();
    let position = 0;
    for (let from = 0; from < count; from += perCommit) {
      const batch = Array.from({ length: Math.min(perCommit, count - from) }, (_, n) => taskName(name, from + n));
      const publishing = batch.map((task) => () => {
        insert.record.run(taskKey(task), record);
        insert.log.run(`${journal}/${name}`, ++position, entry);
        insert.ranked.run(tasks, task, position);
      });
      const settling = batch.map((task) => () => {
        insert.record.run(taskKey(task), record);
        insert.log.run(`${journal}/${name}`, ++position, entry);
      });
      const moves = [...publishing, ...settling];
      for (const together of perCommit === 1 ? moves.map((move) => [move]) : [moves]) {
        const beginMs = performance.now();
        begin.run();
        for (const move of together) move();
        commit.run();
        commitMs.push(performance.now() - beginMs);
      }
    }
    return { seconds: (performance.now() - startMs) / 1000, commitMs };
  }

  close(): void {
    this.#db.close();
  }
}

const prepareInserts = (db: DatabaseSync) => ({
  begin: db.prepare("BEGIN IMMEDIATE"),
  commit: db.prepare("COMMIT"),
  record: db.prepare("INSERT OR REPLACE INTO record VALUES (?, ?)"),
  log: db.prepare("INSERT INTO log VALUES (?, ?, ?)"),
  ranked: db.prepare("INSERT INTO ranked VALUES (?, ?, ?)"),
});
