/** What goes in and out of the simulated store, and what it says. */
import { PlimsollError } from '#core/model/result.ts';
import { jsonCopy } from './json-copy.ts';

export function read<Value>(value: Value): Promise<Value> {
  return Promise.resolve(copyOf(value));
}

/** Whatever goes in or out shares nothing with what is kept; as in the real store, it is what JSON can say. */
export function copyOf<Value>(value: Value): Value {
  return jsonCopy(value) as Value;
}

export function inOrder<Value>(byKey: ReadonlyMap<string, Value>): readonly Value[] {
  return [...byKey].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value);
}

/** As the real store says it: SQLite's words (SQLITE_FULL) and what to do. */
export function noRoom(what: string): PlimsollError {
  return new PlimsollError('internal', `Could not ${what}: database or disk is full. Check that the database's disk has room and works.`);
}

export function writtenTwice(what: string, id: string): PlimsollError {
  return new PlimsollError('internal', `${what} ${id} was written before; it never changes`);
}
