/**
 * What the other end of a wire gets: equal to `JSON.parse(JSON.stringify(value))`, and shares nothing with the value. Most messages are
 * plain data and are copied without becoming text, in about a third of the time; whatever is not goes the long way.
 */
export function jsonCopy(value: unknown): unknown {
  switch (typeof value) {
    case 'object':
      if (value === null) return null;
      return Array.isArray(value) ? copyOfArray(value) : copyOfObject(value);
    case 'number':
      // JSON knows neither infinities nor a negative zero.
      return Number.isFinite(value) ? value + 0 : null;
    case 'string':
    case 'boolean':
      return value;
    case 'bigint':
      throw new TypeError('a message cannot hold a bigint: JSON has no such thing');
    case 'undefined':
    case 'function':
    case 'symbol':
    default:
      return undefined;
  }
}

function copyOfArray(values: readonly unknown[]): readonly unknown[] {
  const copy: unknown[] = [];
  // By place, as a hole is null too.
  for (let place = 0; place < values.length; place += 1) copy.push(jsonCopy(values[place]) ?? null);
  return copy;
}

/** One of a class, such as a date, has its own way to become text. */
function copyOfObject(value: object): unknown {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return theLongWay(value);
  const copy: Record<string, unknown> = { ...value };
  for (const key in copy) {
    const member = copy[key];
    if (typeof member === 'string' || typeof member === 'boolean') continue;
    if (member === undefined || typeof member === 'function' || typeof member === 'symbol') return theLongWay(value);
    copy[key] = jsonCopy(member);
  }
  return copy;
}

function theLongWay(value: object): unknown {
  const text: string | undefined = JSON.stringify(value);
  return text === undefined ? undefined : (JSON.parse(text) as unknown);
}
