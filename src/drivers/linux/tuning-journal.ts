/** What was changed on this host's network for its peers, and what was there before. One small JSON file. */
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { PeerTuning } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';
import { replaceFile } from './replace-file.ts';
import { readTextFile } from './text-file.ts';

/** An interface whose MTU was raised. */
export interface RaisedInterface {
  readonly name: string;
  /** Tells a device from a later one of the same name. */
  readonly index: number;
  /** Before it was raised. */
  readonly mtuBytes: number;
  /** What IPv6 took for its MTU before; null without IPv6. */
  readonly ipv6MtuBytes: number | null;
  /** Every value it was given since; with any other, somebody else has set it. */
  readonly setToBytes: readonly number[];
}

export interface TuningState {
  readonly tunings: readonly PeerTuning[];
  readonly interfaces: readonly RaisedInterface[];
}

const bytes = Type.Integer({ minimum: 1, maximum: 65_535 });
const bytesOrNull = Type.Union([bytes, Type.Null()]);
const name = Type.String({ minLength: 1, maxLength: 255 });
const fileShape = Compile(
  Type.Object({
    version: Type.Literal(1),
    bootId: name,
    tunings: Type.Array(
      Type.Object({
        peerHostId: name,
        peerUnderlay: name,
        peerChannelAddress: name,
        interface: name,
        mssBytes: bytesOrNull,
        routeMtuBytes: bytesOrNull,
        interfaceMtuBytes: bytesOrNull,
      }),
    ),
    interfaces: Type.Array(
      Type.Object({
        name,
        index: Type.Integer({ minimum: 1 }),
        mtuBytes: bytes,
        ipv6MtuBytes: bytesOrNull,
        setToBytes: Type.Array(bytes, { maxItems: 64 }),
      }),
    ),
  }),
);

const bootIdFile = '/proc/sys/kernel/random/boot_id';

export const nothingTuned: TuningState = { tunings: [], interfaces: [] };

/** Rejects with `channel-failed` when the file is damaged or cannot be written, `config-invalid` when it cannot be read. */
export class TuningJournal {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Nothing, when the host was started anew since: its network forgets what was set by hand. */
  async load(): Promise<TuningState> {
    const text = await readTextFile(this.#path);
    if (text === null) return nothingTuned;
    const value = this.#parse(text);
    if (value.bootId !== (await bootId())) return nothingTuned;
    return { tunings: value.tunings, interfaces: value.interfaces };
  }

  /** Durable when it resolves; a crash leaves the state before or after. */
  async save(state: TuningState): Promise<void> {
    const text = `${JSON.stringify({ version: 1, bootId: await bootId(), ...state }, null, 2)}\n`;
    this.#parse(text);
    try {
      await replaceFile(this.#path, text);
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      const sentence = `${this.#path} cannot be written: ${detail}. Check that its directory exists, is writable and has room.`;
      throw new PlimsollError('channel-failed', sentence, { cause });
    }
  }

  #parse(text: string) {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw this.#damaged('it is not JSON', cause);
    }
    if (fileShape.Check(value)) return value;
    const [fault] = fileShape.Errors(value);
    throw this.#damaged(`${fault?.instancePath ?? ''} ${fault?.message ?? 'is not as expected'}`.trim());
  }

  #damaged(fault: string, cause?: unknown): PlimsollError {
    const sentence = `${this.#path}, the list of changed network settings, is damaged: ${fault}. Check the MTU of the interfaces by hand, then delete it.`;
    return new PlimsollError('channel-failed', sentence, { cause });
  }
}

async function bootId(): Promise<string> {
  return (await readTextFile(bootIdFile))?.trim() ?? 'unknown';
}
