/** Lines out of the pieces in which a pipe delivers them. A line longer than `lineCharactersMax` is dropped, so memory is bounded. */
export class EchoText {
  readonly #lineCharactersMax: number;
  #rest = '';
  #dropping = false;

  constructor(lineCharactersMax = 512) {
    this.#lineCharactersMax = lineCharactersMax;
  }

  /** The lines that this piece completes. */
  push(piece: string): readonly string[] {
    const parts = (this.#rest + piece).split('\n');
    const rest = parts.pop() ?? '';
    const [first, ...others] = parts;
    const complete = first === undefined ? [] : this.#dropping ? others : parts;
    if (first !== undefined) this.#dropping = false;
    if (rest.length > this.#lineCharactersMax) this.#dropping = true;
    this.#rest = this.#dropping ? '' : rest;
    return complete.filter((line) => line.length <= this.#lineCharactersMax);
  }
}
