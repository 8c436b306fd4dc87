import { Command } from 'commander';
import { LabError } from '#lab/errors.ts';
import { VM_LAB_DEFAULTS } from './options.ts';
import { vmLabUp } from './up.ts';

/** `node lab/vm/main.ts`: starts a lab of virtual machines and leaves it running; `plimsoll lab down` takes it away. */

interface Flags {
  readonly name: string;
  readonly hosts: number;
  readonly guests: number;
  readonly mtu: number;
  readonly ip: number;
  readonly keepFailed?: true;
}

const program = new Command('vm-lab')
  .description('Starts a lab whose hosts are virtual machines with IPsec in the kernel.')
  .option('--name <name>', 'name of the lab', VM_LAB_DEFAULTS.name)
  .option('--hosts <count>', 'hosts', Number, VM_LAB_DEFAULTS.hosts)
  .option('--guests <count>', 'guests', Number, VM_LAB_DEFAULTS.guests)
  .option('--mtu <bytes>', 'MTU of the wires between the hosts', Number, VM_LAB_DEFAULTS.mtuBytes)
  .option('--ip <version>', 'IP version between the hosts, 4 or 6', Number, VM_LAB_DEFAULTS.ipVersion)
  .option('--keep-failed', 'leave a lab whose start failed as it is');

try {
  const flags = program.parse().opts<Flags>();
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const options = {
    name: flags.name,
    hosts: flags.hosts,
    guests: flags.guests,
    mtuBytes: flags.mtu,
    ipVersion: flags.ip === 6 ? (6 as const) : (4 as const),
  };
  const log = (line: string): void => console.log(line);
  const lab = await vmLabUp(options, { log, signal: stop.signal, keepFailed: flags.keepFailed === true, stays: true });
  console.log(`controller unix:${lab.controllerSocket}; take it away with: plimsoll lab down --name ${lab.name}`);
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
}
