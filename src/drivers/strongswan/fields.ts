import { StrongswanError } from './errors.ts';
import { type Section, isList, isSection } from './message.ts';

/**
 * Typed reads of what charon sent; everything is validated here, at the border.
 * All throw `strongswan-malformed-reply` when the field is there in another shape.
 */
export class Fields {
  readonly #section: Section;
  readonly #what: string;

  /** `what` names the message in errors, such as `list-sa`. */
  constructor(section: Section, what: string) {
    this.#section = section;
    this.#what = what;
  }

  text(name: string): string {
    return this.optionalText(name) ?? this.#fail(name, 'is missing');
  }

  optionalText(name: string): string | undefined {
    const value = this.#section[name];
    if (value === undefined || typeof value === 'string') return value;
    return this.#fail(name, 'is not text');
  }

  /** An absent flag is "no"; charon writes it only when it holds. */
  flag(name: string): boolean {
    const value = this.optionalText(name);
    return value === 'yes' || value === '1';
  }

  /** A decimal count; SA counters are 64-bit, but one SA is rekeyed long before 2^53 bytes. */
  count(name: string): number {
    return this.optionalCount(name) ?? this.#fail(name, 'is missing');
  }

  optionalCount(name: string): number | undefined {
    const value = this.optionalText(name);
    if (value === undefined) return undefined;
    const count = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    return Number.isSafeInteger(count) ? count : this.#fail(name, 'is not a count');
  }

  /** An absent list is empty. */
  texts(name: string): readonly string[] {
    const list = this.#section[name];
    if (list === undefined) return [];
    if (!isList(list)) return this.#fail(name, 'is not a list');
    return list.map((item) => (typeof item === 'string' ? item : this.#fail(name, 'has an item that is not text')));
  }

  /** The sub-section, empty when absent. */
  fields(name: string): Fields {
    const section = this.#section[name] ?? {};
    return isSection(section) ? new Fields(section, `${this.#what}.${name}`) : this.#fail(name, 'is not a section');
  }

  /** All sub-sections by name; other elements are left out. */
  sections(): readonly (readonly [string, Fields])[] {
    const found: (readonly [string, Fields])[] = [];
    for (const [name, element] of Object.entries(this.#section)) {
      if (isSection(element)) found.push([name, new Fields(element, `${this.#what}.${name}`)]);
    }
    return found;
  }

  #fail(name: string, problem: string): never {
    throw new StrongswanError(
      'strongswan-malformed-reply',
      `${name} in charon's ${this.#what} ${problem}: check that strongSwan 5.9 or later runs.`,
      { command: this.#what },
    );
  }
}
