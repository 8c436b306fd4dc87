/** What was changed on this host's network for its peers, and what was there before. One small JSON file. */
import { Type } from 'typebox';
import type { PeerTuning } from '#core/model/channel.ts';
import { JsonFile } from './json-file.ts';
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
const shape = Type.Object({
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
});

const bootIdFile = '/proc/sys/kernel/random/boot_id';

export const nothingTuned: TuningState = { tunings: [], interfaces: [] };

/** Rejects with `channel-failed` when the file is damaged or cannot be written, `config-invalid` when it cannot be read. */
export class TuningJournal {
  readonly #file: JsonFile<typeof shape>;

  constructor(path: string) {
    const advice = 'Check the MTU of the interfaces by hand, then delete it.';
    const damaged = (fault: string) => `${path}, the list of changed network settings, is damaged: ${fault}. ${advice}`;
    this.#file = new JsonFile({ path, shape, code: 'channel-failed', damaged, indent: 2 });
  }

  /** Nothing, when the host was started anew since: its network forgets what was set by hand. */
  async load(): Promise<TuningState> {
    const value = await this.#file.read();
    if (value === null || value.bootId !== (await bootId())) return nothingTuned;
    return { tunings: value.tunings, interfaces: value.interfaces };
  }

  /** Durable when it resolves; a crash leaves the state before or after. */
  async save(state: TuningState): Promise<void> {
    await this.#file.write({ version: 1, bootId: await bootId(), ...state });
  }
}

async function bootId(): Promise<string> {
  return (await readTextFile(bootIdFile))?.trim() ?? 'unknown';
}
