/** The guard on a real host: nftables through the `nft` program. */
import { createHash } from 'node:crypto';
import { exemptionScript, guardCounters, guardRuleset, guardSets, guardTable } from '#core/channel/guard-rules.ts';
import type { GuardState } from '#core/model/channel.ts';
import { PlimsollError } from '#core/model/result.ts';
import type { Guard, GuardSpec } from '#core/ports.ts';
import { type CommandOutcome, runCommand } from './command.ts';
import { type GuardListing, readGuardListing } from './guard-listing.ts';
import { flowsIn } from './guard-sets.ts';

export interface NftGuardOptions {
  /** How `nft` is called, argv only; the default is Debian's path. */
  readonly command?: readonly [string, ...string[]];
  readonly timeoutMs?: number;
}

/** No grant lasts longer. */
const exemptionMsMax = 7 * 24 * 3600 * 1000;

function fingerprintOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32);
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
      if (present?.seal?.spec === specFingerprint && isIntact(present)) return;
      // The new table has empty sets: whatever was wrong with the old one, exemptions do not outlive it.
      const remembered = present === null ? '' : await this.#rememberedFlows(present, signal);
      await this.#nft(['-f', '-'], signal, `${ruleset}${remembered}`);
      const installed = await this.#list(signal);
      if (installed === null) {
        throw new PlimsollError('guard-missing', 'The guard vanished right after it was installed; find the program that clears nftables.');
      }
      // The listing is the kernel's view of the rules just written; any later difference is a change by somebody else.
      const seal = `${specFingerprint}:${fingerprintOf(installed.rules)}`;
      await this.#nft(['-f', '-'], signal, `add set inet ${guardTable} seal { type mark; comment "${seal}"; }\n`);
    });
  }

  /** `installed` only if the table is exactly as `install` left it: a changed or dormant table counts as none. */
  inspect(signal: AbortSignal): Promise<GuardState> {
    return this.#inTurn(async () => {
      const present = await this.#list(signal);
      if (present === null) {
        return { installed: false, droppedInPackets: 0, droppedOutPackets: 0, droppedProbePackets: 0, exemptPeers: [] };
      }
      const of = (name: string): number => present.packets.get(name) ?? 0;
      const { probeIn, protectedIn, migrationIn, protectedOut, migrationOut } = guardCounters;
      return {
        installed: isIntact(present),
        droppedInPackets: of(probeIn) + of(protectedIn) + of(migrationIn),
        droppedOutPackets: of(protectedOut) + of(migrationOut),
        droppedProbePackets: of(probeIn),
        exemptPeers: present.exemptions.peers,
      };
    });
  }

  /**
   * A second call for the same peer replaces the first one's time. Also rejects with `guard-missing` when the guard is not installed
   * as `install` left it, and with `config-invalid` for what is no address or a lifetime above seven days.
   */
  async exempt(peerUnderlay: string, lifetimeMs: number, signal: AbortSignal): Promise<void> {
    const script = exemptionScript(peerUnderlay, lifetimeMs);
    if (lifetimeMs > exemptionMsMax) {
      throw new PlimsollError('config-invalid', `An exemption lasts up to ${exemptionMsMax} ms, not ${lifetimeMs}; ask for a shorter one.`);
    }
    return this.#inTurn(async () => {
      const present = await this.#list(signal);
      if (present === null || !isSealed(present)) {
        throw new PlimsollError(
          'guard-missing',
          'The guard is not as it was installed; install it again, then ask for the exemption again.',
        );
      }
      await this.#nft(['-f', '-'], signal, script);
    });
  }

  remove(signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      // `add` first, so that removing what is not there is no error.
      await this.#nft(['-f', '-'], signal, `add table inet ${guardTable}\ndelete table inet ${guardTable}\n`);
    });
  }

  /**
   * Null when there is no table of ours. As text: nft 1.0.6 crashes when it prints a table with flags (dormant, owner) as JSON, whoever
   * owns it. In one process: a transfer's agent asks twice a second.
   */
  async #list(signal: AbortSignal): Promise<GuardListing | null> {
    const listing = await this.#run(['list', 'table', 'inet', guardTable], signal);
    if (listing.exitCode === 0) return readGuardListing(listing.stdout);
    const tables = await this.#nft(['list', 'tables'], signal);
    if (!tables.split('\n').includes(`table inet ${guardTable}`)) return null;
    // It came between the two, or nft has trouble that it tells of again.
    return readGuardListing(await this.#nft(['list', 'table', 'inet', guardTable], signal));
  }

  /** Lines that put what the guard remembers of open connections into a new table: forgetting them would let them out in plain text. */
  async #rememberedFlows(table: GuardListing, signal: AbortSignal): Promise<string> {
    try {
      const four = flowsIn(await this.#set(table, guardSets.flows4, signal), 4);
      const six = flowsIn(await this.#set(table, guardSets.flows6, signal), 6);
      const add = (name: string, flows: readonly string[]): string =>
        flows.length === 0 ? '' : `add element inet ${guardTable} ${name} { ${flows.join(', ')} }\n`;
      return add(guardSets.flows4, four) + add(guardSets.flows6, six);
    } catch (error) {
      signal.throwIfAborted();
      // A guard without its memory is better than none.
      if (error instanceof PlimsollError) return '';
      throw error;
    }
  }

  /** A set of the table as JSON; an empty listing when somebody removed it. */
  async #set(table: GuardListing, name: string, signal: AbortSignal): Promise<string> {
    if (!table.sets.includes(name)) return '{"nftables":[]}';
    return this.#nft(['-j', 'list', 'set', 'inet', guardTable, name], signal);
  }

  async #nft(args: readonly string[], signal: AbortSignal, input = ''): Promise<string> {
    const outcome = await this.#run(args, signal, input);
    if (outcome.exitCode === 0) return outcome.stdout;
    const detail = outcome.problem ?? outcome.stderr.trim().slice(0, 500);
    const sentence = `The guard needs nft and root: \`${[...this.#command, ...args].join(' ')}\` failed: ${detail}`;
    throw new PlimsollError('guard-missing', sentence, { cause: outcome });
  }

  #run(args: readonly string[], signal: AbortSignal, input = ''): Promise<CommandOutcome> {
    return runCommand([...this.#command, ...args], { input, timeoutMs: this.#timeoutMs, signal });
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** The rules are as `install` left them; what the sets hold is another matter. */
function isSealed(listing: GuardListing): boolean {
  return listing.seal?.rules === fingerprintOf(listing.rules);
}

function isIntact(listing: GuardListing): boolean {
  return isSealed(listing) && listing.exemptions.allEnd;
}
