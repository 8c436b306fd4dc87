/** Which nodes reach each other. A node is a host's name or `controller`. */
export const controllerNode = 'controller';

export class Network {
  readonly #cuts = new Set<string>();
  readonly #listeners = new Set<() => void>();

  reaches(a: string, b: string): boolean {
    return !this.#cuts.has(pair(a, b));
  }

  cut(a: string, b: string): void {
    this.#cuts.add(pair(a, b));
    this.#tell();
  }

  heal(a: string, b: string): void {
    this.#cuts.delete(pair(a, b));
    this.#tell();
  }

  /** Called after each change. Returns the way to stop. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #tell(): void {
    for (const listener of Array.from(this.#listeners)) listener();
  }
}

function pair(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
