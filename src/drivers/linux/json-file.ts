/** What an agent keeps across its restarts: a small JSON file of a known shape. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Static, TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { PlimsollError, type RefusalCode } from '#core/model/result.ts';
import { replaceFile } from './replace-file.ts';
import { readTextFile } from './text-file.ts';

export interface JsonFileOptions<Shape extends TSchema> {
  readonly path: string;
  readonly shape: Shape;
  /** Of a file that is damaged or cannot be written. */
  readonly code: RefusalCode;
  /** The sentence about a damaged file: what it is to the operator, the fault, and what to do. */
  readonly damaged: (fault: string) => string;
  /** Makes the folder when it is missing, for root only; otherwise that is an error. */
  readonly makesFolder?: boolean;
  /** Spaces for each level, for a file that people read too. */
  readonly indent?: number;
}

/** A file that cannot be understood is never taken for one that is not there. */
export class JsonFile<Shape extends TSchema> {
  readonly #options: JsonFileOptions<Shape>;
  readonly #validator;

  constructor(options: JsonFileOptions<Shape>) {
    this.#options = options;
    this.#validator = Compile(options.shape);
  }

  /** Null when there is no file. Rejects with the file's code when it is damaged, `config-invalid` when it cannot be read. */
  async read(): Promise<Static<Shape> | null> {
    const text = await readTextFile(this.#options.path);
    return text === null ? null : this.#parse(text);
  }

  /**
   * Durable when it resolves; a crash leaves the content before or after. Rejects with the file's code when it cannot be written,
   * or when the value could not be read back: then the file stays as it was.
   */
  async write(value: object): Promise<void> {
    const { path, code, makesFolder = false, indent = 0 } = this.#options;
    const text = `${JSON.stringify(value, null, indent)}\n`;
    this.#parse(text);
    try {
      if (makesFolder) await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await replaceFile(path, text);
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      const sentence = `${path} cannot be written: ${detail}. Check that its directory exists, is writable and has room.`;
      throw new PlimsollError(code, sentence, { cause });
    }
  }

  #parse(text: string): Static<Shape> {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw this.#damaged('it is not JSON', cause);
    }
    if (this.#validator.Check(value)) return value;
    const [fault] = this.#validator.Errors(value);
    throw this.#damaged(`${fault?.instancePath ?? ''} ${fault?.message ?? 'is not as expected'}`.trim());
  }

  #damaged(fault: string, cause?: unknown): PlimsollError {
    return new PlimsollError(this.#options.code, this.#options.damaged(fault), { cause });
  }
}
