/** A command in a host that waits for its input, so that starting it costs the strike no time. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import type { LabHost } from '#lab/api.ts';

export class Poised {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #ended: Promise<number>;
  #said = '';

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    const { promise, resolve } = Promise.withResolvers<number>();
    child.once('close', (code) => resolve(code ?? 128));
    child.once('error', () => resolve(127));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#said += text));
    child.stdin.on('error', () => undefined);
    this.#ended = promise;
  }

  static async of(host: LabHost, argv: readonly string[]): Promise<Poised> {
    const [file = '', ...args] = await host.machine.execArgv(argv);
    return new Poised(spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
  }

  /** Gives it its input, and waits for its end. @throws when it fails. */
  async release(input: string): Promise<void> {
    this.#child.stdin.end(input);
    const code = await this.#ended;
    if (code !== 0) throw new Error(`a strike failed with code ${code}: ${this.#said.trim()}`);
  }

  /** Ends it unused. */
  async drop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
