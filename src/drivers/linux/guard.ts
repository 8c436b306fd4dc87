/** The guard on a real host: nftables through the `nft` program. */
import { createHash } from 'node:crypto';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { guardCounters, guardRuleset, guardTable } from '#core/channel/guard-rules.ts';
import type { GuardState } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Guard, GuardSpec } from '#core/ports.ts';
import { runCommand } from './command.ts';

export interface NftGuardOptions {
  /** How `nft` is called, argv only; the default is Debian's path. */
  readonly command?: readonly [string, ...string[]];
  readonly timeoutMs?: number;
}

interface Listing {
  /** Fingerprint of the table as the kernel holds it, without counters and seal. */
  readonly fingerprint: string;
  /** What `install` wrote down; null when the seal is missing. */
  readonly seal: { readonly spec: string; readonly fingerprint: string } | null;
}

const count = Type.Integer({ minimum: 0 });
const counterList = Compile(
  Type.Object({
    nftables: Type.Array(
      Type.Object({ counter: Type.Optional(Type.Object({ table: Type.String(), name: Type.String(), packets: count, bytes: count })) }),
    ),
  }),
);

/** An empty set whose comment holds the two fingerprints: the table carries its own proof across restarts. */
const sealSet = /\n\tset seal \{\n\t\ttype mark\n\t\tcomment "([0-9a-f]{32}):([0-9a-f]{32})"\n\t\}\n/;

function fingerprintOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
}

function readListing(text: string): Listing {
  const [block, spec, fingerprint] = sealSet.exec(text) ?? [];
  const seal = spec === undefined || fingerprint === undefined ? null : { spec, fingerprint };
  // Blank lines separate the table's parts and come and go with the seal.
  const lines = text
    .replace(block ?? '', '\n')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return { fingerprint: fingerprintOf(lines.join('\n')), seal };
}

/**
 * Rejects with `guard-missing` when nft cannot be run or refuses, `config-invalid` for a malformed spec, and
 * with the signal's reason when aborted. Calls are run one after the other.
 */
export class NftGuard implements Guard {
  readonly #command: readonly [string, ...string[]];
  readonly #timeoutMs: number;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: NftGuardOptions = {}) {
    this.#command = options.command ?? ['/usr/sbin/nft'];
    this.#timeoutMs = options.timeoutMs ?? 5000;
  }

  install(spec: GuardSpec, signal: AbortSignal): Promise<void> {
    const ruleset = guardRuleset(spec);
    return this.#inTurn(async () => {
      const specFingerprint = fingerprintOf(ruleset);
      const present = await this.#list(signal);
      if (present?.seal?.spec === specFingerprint && present.seal.fingerprint === present.fingerprint) return;
      await this.#nft(['-f', '-'], signal, ruleset);
      const installed = await this.#list(signal);
      if (installed === null) {
        throw new PlimsollError('guard-missing', 'The guard vanished right after it was installed; find the program that clears nftables.');
      }
      // The listing is the kernel's view of the rules just written; any later difference is a change by somebody else.
      const seal = `${specFingerprint}:${installed.fingerprint}`;
      await this.#nft(['-f', '-'], signal, `add set inet ${guardTable} seal { type mark; comment "${seal}"; }\n`);
    });
  }

  /** `installed` only if the table is exactly as `install` left it: a changed or dormant table counts as none. */
  inspect(signal: AbortSignal): Promise<GuardState> {
    return this.#inTurn(async () => {
      const present = await this.#list(signal);
      if (present === null) return { installed: false, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets: 0 };
      const packets = await this.#counters(signal);
      const of = (name: string): number => packets.get(name) ?? 0;
      const { probeIn, protectedIn, migrationIn, protectedOut, migrationOut } = guardCounters;
      return {
        installed: present.seal?.fingerprint === present.fingerprint,
        droppedInPackets: of(probeIn) + of(protectedIn) + of(migrationIn),
        droppedOutPackets: of(protectedOut) + of(migrationOut),
        droppedProbePackets: of(probeIn),
      };
    });
  }

  remove(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      // `add` first, so that removing what is not there is no error.
      await this.#nft(['-f', '-'], signal, `add table inet ${guardTable}\ndelete table inet ${guardTable}\n`);
    });
  }

  /** Null when there is no table of ours. */
  async #list(signal: AbortSignal): Promise<Listing | null> {
    // As text: nft 1.0.6 crashes when it prints a table with flags (dormant, owner) as JSON, whoever owns it.
    const tables = await this.#nft(['list', 'tables'], signal);
    if (!tables.split('\n').includes(`table inet ${guardTable}`)) return null;
    return readListing(await this.#nft(['-s', 'list', 'table', 'inet', guardTable], signal));
  }

  async #counters(signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const text = await this.#nft(['-j', 'list', 'counters', 'table', 'inet', guardTable], signal);
    const value = parseJson(text);
    if (!counterList.Check(value)) {
      throw new PlimsollError('guard-missing', 'nft printed counters in an unknown form; check that nftables 1.0.6 or newer is installed.');
    }
    const own = value.nftables.flatMap((entry) => (entry.counter?.table === guardTable ? [entry.counter] : []));
    return new Map(own.map((counter) => [counter.name, counter.packets]));
  }

  async #nft(args: readonly string[], signal: AbortSignal, input = ''): Promise<string> {
    const outcome = await runCommand([...this.#command, ...args], { input, timeoutMs: this.#timeoutMs, signal });
    if (outcome.exitCode === 0) return outcome.stdout;
    const detail = outcome.problem ?? outcome.stderr.trim().slice(0, 500);
    const sentence = `The guard needs nft and root: \`${[...this.#command, ...args].join(' ')}\` failed: ${detail}`;
    throw new PlimsollError('guard-missing', sentence, { cause: outcome });
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
