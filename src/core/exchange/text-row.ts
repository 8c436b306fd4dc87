/** Lines of a text with columns, read with the place of everything that is wrong. */

export type TextFaultReason =
  | 'sections'
  | 'columns'
  | 'number'
  | 'word'
  | 'name-missing'
  | 'name-unknown'
  | 'name-repeated'
  | 'secondary-same'
  | 'line-end';

/** Something in a text that is not as its format has it. Lines and columns (characters) count from 1. */
export interface TextFault {
  readonly reason: TextFaultReason;
  readonly line: number;
  readonly column: number;
  /** What is there, and what has to be. */
  readonly message: string;
}

export interface Line {
  readonly number: number;
  readonly text: string;
  /** Where in its line it begins, for a part of one; 1 when absent. */
  readonly column?: number;
}

const faultsMax = 20;
const shownLengthMax = 40;

/** The first faults of a text; more than a person would mend in one go are not kept. */
export class TextFaults {
  readonly #found: TextFault[] = [];

  /** In the order of the text. */
  get found(): readonly TextFault[] {
    return this.#found.toSorted((a, b) => a.line - b.line || a.column - b.column);
  }

  add(reason: TextFaultReason, line: number, column: number, message: string): void {
    if (this.#found.length < faultsMax) this.#found.push({ reason, line, column, message });
  }
}

/** The lines of a text; the last one may end without a line feed. A carriage return is a fault: it would belong to the last column. */
export function linesOf(text: string, faults: TextFaults): readonly Line[] {
  const lines = text.split('\n').map((line, index) => ({ number: index + 1, text: line }));
  if (lines.at(-1)?.text === '') lines.pop();
  const carriage = lines.find((line) => line.text.includes('\r'));
  if (carriage !== undefined)
    faults.add('line-end', carriage.number, carriage.text.indexOf('\r') + 1, 'a carriage return: lines have to end with a line feed alone');
  return lines;
}

/** One line in columns. What is wrong is noted and read as nothing (0, no, the first word), so that reading goes on to the next fault. */
export class Row {
  readonly #line: number;
  readonly #columns: readonly { readonly text: string; readonly at: number }[];
  readonly #faults: TextFaults;

  constructor(line: Line, separator: string, faults: TextFaults) {
    this.#line = line.number;
    this.#faults = faults;
    let at = line.column ?? 1;
    this.#columns = line.text.split(separator).map((text) => {
      const column = { text, at };
      at += text.length + separator.length;
      return column;
    });
  }

  get width(): number {
    return this.#columns.length;
  }

  /** Whether it has a number of columns that `what` may have; else notes it. */
  hasWidth(what: string, least: number, most: number): boolean {
    if (this.width >= least && this.width <= most) return true;
    const allowed = least === most ? String(least) : `${least} to ${most}`;
    this.#faults.add('columns', this.#line, 1, `${what} has ${this.width} columns, it has to have ${allowed}`);
    return false;
  }

  text(index: number): string {
    return this.#columns[index]?.text ?? '';
  }

  name(index: number, what: string): string {
    const name = this.text(index);
    if (name === '') this.note('name-missing', index, `${what} is missing`);
    return name;
  }

  /** A whole number as Haskell reads an Int. */
  integer(index: number, what: string): number {
    const value = this.text(index);
    const number = /^-?\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
    if (Number.isSafeInteger(number)) return number;
    return this.#notNumber(index, `${what} has to be a whole number`);
  }

  /** A number as Haskell reads a Double, without its words for infinity. */
  number(index: number, what: string): number {
    const value = this.text(index);
    const number = /^-?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?$/.test(value) ? Number(value) : Number.NaN;
    if (Number.isFinite(number)) return number;
    return this.#notNumber(index, `${what} has to be a number`);
  }

  word<Word extends string>(index: number, what: string, words: readonly [Word, ...(readonly Word[])]): Word {
    const value = this.text(index);
    const word = words.find((known) => known === value);
    if (word !== undefined) return word;
    this.note('word', index, `${shown(value)}: ${what} has to be one of ${words.join(', ')}`);
    return words[0];
  }

  yes(index: number, what: string): boolean {
    return this.word(index, what, ['N', 'Y']) === 'Y';
  }

  list(index: number, separator = ','): readonly string[] {
    const value = this.text(index);
    return value === '' ? [] : value.split(separator);
  }

  /** One column, as a row of its own. */
  inner(index: number, separator: string): Row {
    const { text, at } = this.#columns[index] ?? { text: '', at: 1 };
    return new Row({ number: this.#line, text, column: at }, separator, this.#faults);
  }

  note(reason: TextFaultReason, index: number, message: string): void {
    this.#faults.add(reason, this.#line, this.#columns[index]?.at ?? 1, message);
  }

  #notNumber(index: number, sentence: string): number {
    this.note('number', index, `${shown(this.text(index))}: ${sentence}`);
    return 0;
  }
}

function shown(text: string): string {
  return text === '' ? 'nothing' : `'${text.length > shownLengthMax ? `${text.slice(0, shownLengthMax)}…` : text}'`;
}
