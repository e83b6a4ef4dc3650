import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SaltError } from "#shared/domain/errors.ts";
import { toSaltError } from "./sqlite-error.ts";

const schemaVersion = 1;

/**
 * `record` holds counters too (stamp "counter", the value a number), so that one look-up serves both. `ranked` holds
 * indexes and queues. A lease keeps its row when released, for its fence. Tables of small rows are `WITHOUT ROWID`; in
 * such a tree rows of 1 KiB, as records are, would leave few to a page, inner pages too, and have most commits balance it.
 */
const schema = `
  CREATE TABLE engine (
    one INTEGER PRIMARY KEY CHECK (one = 1), schema_version INTEGER NOT NULL, now_ms INTEGER NOT NULL, fence INTEGER NOT NULL
  ) STRICT;
  INSERT INTO engine VALUES (1, ${schemaVersion}, 0, 0);

  CREATE TABLE record (key TEXT NOT NULL PRIMARY KEY, stamp TEXT NOT NULL, value ANY NOT NULL) STRICT;

  CREATE TABLE ranked (
    key TEXT NOT NULL, member TEXT NOT NULL, score REAL NOT NULL, value TEXT, PRIMARY KEY (key, member)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX ranked_by_score ON ranked (key, score, member);

  CREATE TABLE log (
    key TEXT NOT NULL, position INTEGER NOT NULL, at_ms INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (key, position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE lease (
    key TEXT NOT NULL, member TEXT NOT NULL, fence INTEGER NOT NULL, holder TEXT NOT NULL, state TEXT NOT NULL,
    queue TEXT NOT NULL, score REAL, PRIMARY KEY (key, member)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX lease_by_score ON lease (key, score, member) WHERE score IS NOT NULL;
`;

/**
 * Opens the file (":memory:" for none), making it if need be, and keeps others out for as long as it is open. The lock
 * is the operating system's, so it ends with the process, however that ends.
 */
export function openDatabase(file: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    if (file !== ":memory:") makePrivateFile(file);
    db = new DatabaseSync(file, { timeout: 1000 });
    // A small commit writes whole pages, so pages of 8 KiB would have it write twice as much.
    db.exec("PRAGMA page_size = 4096");
    // Exclusive before WAL: the WAL's index then lives in this process, and no other can open the file.
    db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    // Twice the usual pages cost less CPU in all; four times saved no more, and paused for 11 ms where this does for 7.
    db.exec("PRAGMA wal_autocheckpoint = 2000");
    db.exec("PRAGMA cache_size = -32768; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY;");
    db.exec("BEGIN EXCLUSIVE");
    prepareSchema(db, file);
    db.exec("COMMIT");
    return db;
  } catch (error) {
    db?.close();
    throw toSaltError(error, `open the database ${file}`);
  }
}

/** The database holds what runs were given and the hashes of tokens: it is its owner's alone. */
function makePrivateFile(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  closeSync(openSync(file, "a", 0o600));
}

function prepareSchema(db: DatabaseSync, file: string): void {
  const tables = db.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").all();
  if (tables.length === 0) {
    db.exec(schema);
    return;
  }
  if (!tables.some((table) => table.name === "engine")) {
    throw new SaltError("Unavailable", `Cannot open the database ${file}: it is a database of another program.`, {
      next: "Name another data folder (--data).",
      retryable: false,
    });
  }
  const version = db.prepare("SELECT schema_version AS version FROM engine").get()?.version;
  if (version === schemaVersion) return;
  throw new SaltError(
    "Unavailable",
    `Cannot open the database ${file}: its schema has version ${version}, and this Salt knows version ${schemaVersion}.`,
    { next: "Start the version of Salt that wrote it, or a newer one.", retryable: false },
  );
}
