import { DatabaseSync, type SQLInputValue } from 'node:sqlite';
import { SqliteDialect, type SqliteDatabase, type SqliteStatement } from 'kysely';

/** Another process that holds the file's lock is waited for this long. It blocks this process, so it is short. */
const busyTimeoutMs = 2000;

function isInputValue(value: unknown): value is SQLInputValue {
  return value === null || ['number', 'bigint', 'string'].includes(typeof value) || value instanceof Uint8Array;
}

function inputValues(parameters: readonly unknown[]): readonly SQLInputValue[] {
  return parameters.map((value) => {
    if (isInputValue(value)) return value;
    throw new TypeError(`SQLite cannot take a parameter of type ${typeof value}`);
  });
}

/** What Kysely's dialect for better-sqlite3 needs of a database, on top of node:sqlite. */
function adapt(database: DatabaseSync): SqliteDatabase {
  return {
    close: () => database.close(),
    prepare: (sql): SqliteStatement => {
      const statement = database.prepare(sql);
      return {
        // Only a statement that returns rows has columns; `insert … returning` has them too.
        reader: statement.columns().length > 0,
        all: (parameters) => statement.all(...inputValues(parameters)),
        run: (parameters) => statement.run(...inputValues(parameters)),
        iterate: (parameters) => statement.iterate(...inputValues(parameters)),
      };
    },
  };
}

/**
 * Opens (and makes) the file, or `:memory:`. WAL with `synchronous=full`: a commit that returns has been
 * synced to disk (https://sqlite.org/pragma.html#pragma_synchronous). Throws what SQLite throws.
 */
export function openSqliteDialect(path: string): SqliteDialect {
  const database = new DatabaseSync(path, { timeout: busyTimeoutMs, enableForeignKeyConstraints: true });
  try {
    database.exec('pragma journal_mode = wal; pragma synchronous = full;');
    return new SqliteDialect({ database: adapt(database) });
  } catch (error) {
    database.close();
    throw error;
  }
}
