/** Looks at VMs from outside: through the kernel's neighbour and forwarding tables, and by asking them for answers. */
import { isIP } from 'node:net';
import { PlimsollError } from '#core/model/result.ts';
import type { Echo, Witness } from '#core/ports.ts';
import { type CommandOutcome, runCommand } from './command.ts';
import { type Argv, startEcho } from './echo.ts';
import { addressesBehind, isOnLink, isPortOfVm, portOf } from './witness-tables.ts';

/** How the programs are called, argv only; the defaults are Debian's paths. */
export interface LinuxWitnessOptions {
  readonly ip?: Argv;
  readonly bridge?: Argv;
  readonly fping?: Argv;
  readonly timeoutMs?: number;
}

const addressesMax = 64;
const watchesMax = 64;
const intervalMsMax = 1000;
/** `ip` ends with 2 when the kernel refused, and with 1 for a device that does not exist. */
const refused: readonly number[] = [1, 2];

/** Rejects with `input-invalid` for what is no address or interval, `config-invalid` when a program cannot be run, `version-unsupported` when it prints something unknown. */
export class LinuxWitness implements Witness {
  readonly #ip: Argv;
  readonly #bridge: Argv;
  readonly #fping: Argv | undefined;
  readonly #timeoutMs: number;
  #watches = 0;

  constructor(options: LinuxWitnessOptions = {}) {
    this.#ip = options.ip ?? ['/usr/sbin/ip'];
    this.#bridge = options.bridge ?? ['/usr/sbin/bridge'];
    this.#fping = options.fping;
    this.#timeoutMs = options.timeoutMs ?? 5000;
  }

  /** At most 64. Only machines that this host has exchanged packets with are known. */
  async addressesOf(mac: string, signal: AbortSignal): Promise<readonly string[]> {
    checkMac(mac);
    const neighbours = await this.#output([...this.#ip, '-j', '-s', 'neigh', 'show'], signal);
    return addressesBehind(neighbours, mac)
      .filter((address) => isIP(address) !== 0)
      .slice(0, addressesMax);
  }

  /** Every 1 to 1000 ms; the watch ends with the signal too. At most 64 at a time, else `migration-limit`. */
  async watch(address: string, intervalMs: number, signal: AbortSignal): Promise<Echo | null> {
    checkWatch(address, intervalMs);
    const route = await this.#outputOrNull([...this.#ip, '-j', 'route', 'get', address], signal);
    if (route === null || !isOnLink(route)) return null;
    if (this.#watches >= watchesMax)
      throw new PlimsollError('migration-limit', `this host watches ${watchesMax} VMs already; let a migration end first`);
    this.#watches += 1;
    const release = (): void => {
      this.#watches -= 1;
    };
    try {
      const echo = await startEcho({ address, intervalMs, ...(this.#fping && { command: this.#fping }) }, signal);
      void echo.ended.then(release);
      return echo;
    } catch (error) {
      release();
      throw error;
    }
  }

  async seenAt(mac: string, signal: AbortSignal): Promise<'local' | 'elsewhere' | null> {
    checkMac(mac);
    const port = portOf(await this.#output([...this.#bridge, '-j', '-s', 'fdb', 'show'], signal), mac);
    if (port === null) return null;
    const link = await this.#outputOrNull([...this.#ip, '-j', '-d', 'link', 'show', 'dev', port], signal);
    // The port may have gone since.
    if (link === null || link.trim() === '') return null;
    return isPortOfVm(link, mac) ? 'local' : 'elsewhere';
  }

  /** What the program printed; null when it ended with a refusal. */
  async #outputOrNull(argv: Argv, signal: AbortSignal): Promise<string | null> {
    const outcome = await runCommand(argv, { timeoutMs: this.#timeoutMs, signal });
    if (outcome.exitCode === 0) return outcome.stdout;
    if (outcome.exitCode !== null && refused.includes(outcome.exitCode)) return null;
    throw failed(argv, outcome);
  }

  async #output(argv: Argv, signal: AbortSignal): Promise<string> {
    const outcome = await runCommand(argv, { timeoutMs: this.#timeoutMs, signal });
    if (outcome.exitCode === 0) return outcome.stdout;
    throw failed(argv, outcome);
  }
}

function failed(argv: Argv, outcome: CommandOutcome): PlimsollError {
  const detail = outcome.problem ?? outcome.stderr.trim().slice(0, 300);
  return new PlimsollError('config-invalid', `\`${argv.join(' ')}\` failed: ${detail}. Check that iproute2 is installed.`, {
    cause: outcome,
  });
}

function checkMac(mac: string): void {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) return;
  throw new PlimsollError('input-invalid', `${JSON.stringify(mac.slice(0, 40))} is no MAC address; give six pairs of hexadecimal digits`);
}

function checkWatch(address: string, intervalMs: number): void {
  if (isIP(address) === 0 || address.includes('%'))
    throw new PlimsollError('input-invalid', `${JSON.stringify(address.slice(0, 60))} is no IP address; give one without a zone`);
  if (!Number.isInteger(intervalMs) || intervalMs < 1 || intervalMs > intervalMsMax)
    throw new PlimsollError(
      'input-invalid',
      `an interval of ${intervalMs} ms is not possible; give whole milliseconds from 1 to ${intervalMsMax}`,
    );
}
