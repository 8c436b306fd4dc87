import { spawn } from 'node:child_process';
import { Command, InvalidArgumentError } from 'commander';
import { removeAllLabs, removeLab } from './down.ts';
import { LabError } from './errors.ts';
import { openLab } from './lab.ts';
import { LAB_DEFAULTS, checkName, parsePlacement } from './options.ts';
import type { LabMode, LabOptions } from './options.ts';
import { ROOT_PATH } from './process.ts';
import { holderOf, labNames } from './record.ts';
import { labStatus, printStatus } from './status.ts';
import { labUp } from './up.ts';

/** `plimsoll lab ...`: a real cluster on this machine. */

const ABORTED_EXIT_CODE = 130;

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError('give a number.');
  return value;
}

/** Ctrl-C and a service manager's stop both cancel; a second Ctrl-C does not interrupt the clean-up. */
function cancelOnSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => controller.abort());
  return controller.signal;
}

const seconds = (): string => (performance.now() / 1000).toFixed(1).padStart(5);

const progress = (line: string): void => console.error(`lab ${seconds()} s: ${line}`);

interface UpFlags {
  name: string;
  hosts: number;
  guests: number;
  guestMemory: number;
  workingSet: number;
  mtu: number;
  rate?: string;
  coresPerHost: number;
  memoryPerHost: number;
  mode: LabMode;
  plimsoll: boolean;
  placement?: string;
  keepFailed?: boolean;
}

function optionsOf(flags: UpFlags): Partial<LabOptions> {
  return {
    name: flags.name,
    hosts: flags.hosts,
    guests: flags.guests,
    guestMemoryMib: flags.guestMemory,
    workingSetMib: flags.workingSet,
    mtuBytes: flags.mtu,
    rate: flags.rate,
    coresPerHost: flags.coresPerHost,
    memoryPerHostMib: flags.memoryPerHost,
    mode: flags.mode,
    plimsoll: flags.plimsoll,
    placement: flags.placement === undefined ? {} : parsePlacement(flags.placement),
  };
}

async function up(flags: UpFlags): Promise<void> {
  const startedMs = performance.now();
  const lab = await labUp(optionsOf(flags), {
    signal: cancelOnSignal(),
    log: progress,
    keepFailed: flags.keepFailed === true,
    stays: true,
  });
  progress(`'${lab.name}' is up after ${((performance.now() - startedMs) / 1000).toFixed(1)} s`);
  const named = lab.name === LAB_DEFAULTS.name ? '' : ` --name ${lab.name}`;
  console.log(`Look around:  plimsoll lab status${named}  |  plimsoll lab shell${named} host1`);
  if (lab.controllerSocket !== undefined) console.log(`Operate it:   export PLIMSOLL_CONTROLLER=unix:${lab.controllerSocket}`);
  console.log(`Take it away: plimsoll lab down${named}`);
}

async function status(flags: { name?: string; output: string }): Promise<void> {
  const names = flags.name === undefined ? await labNames() : [flags.name];
  const all = await Promise.all(names.map((name) => labStatus(name)));
  if (flags.output === 'json') console.log(JSON.stringify(all, null, 2));
  else if (all.length === 0) console.log("No lab is up. Start one: 'plimsoll lab up'");
  else for (const one of all) printStatus(one);
}

async function shell(hostName: string, command: readonly string[], flags: { name: string }): Promise<void> {
  const host = (await openLab(flags.name)).host(hostName);
  const argv = await host.machine.execArgv(command.length > 0 ? command : ['bash', '--norc', '-i']);
  const child = spawn(argv[0] ?? '', argv.slice(1), {
    stdio: 'inherit',
    env: { ...process.env, PATH: ROOT_PATH, PS1: `${flags.name}/${hostName}# ` },
  });
  // The terminal sends Ctrl-C to the command too; this process only waits.
  process.on('SIGINT', () => undefined);
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', reject);
  child.once('close', (code) => resolve(code ?? ABORTED_EXIT_CODE));
  process.exitCode = await promise;
}

async function down(flags: { name: string; all?: boolean }): Promise<void> {
  if (flags.all === true) return removeAllLabs(progress);
  checkName(flags.name);
  const known = (await holderOf(flags.name)) !== 'nobody';
  await removeLab(flags.name);
  progress(known ? `'${flags.name}' is gone` : `no lab '${flags.name}' is up; nothing of it is left`);
}

function program(): Command {
  const root = new Command('plimsoll lab').description('A real cluster on this machine: hosts, shared storage, guests, switch, client.');
  root
    .command('up')
    .description('Build a lab; it stays until it is taken down.')
    .option('--name <name>', 'several labs can stand side by side', LAB_DEFAULTS.name)
    .option('--hosts <n>', 'number of hosts', number, LAB_DEFAULTS.hosts)
    .option('--guests <n>', 'number of VMs', number, LAB_DEFAULTS.guests)
    .option('--guest-memory <MiB>', 'memory of a VM', number, LAB_DEFAULTS.guestMemoryMib)
    .option('--working-set <MiB>', 'memory of a VM that holds the marker and is written by its load', number, LAB_DEFAULTS.workingSetMib)
    .option('--mtu <bytes>', 'MTU between the hosts', number, LAB_DEFAULTS.mtuBytes)
    .option('--rate <rate>', 'speed of each link between the hosts, for example 1gbit (default: unlimited)')
    .option('--cores-per-host <n>', 'CPU capacity of a host, its VMs included', number, LAB_DEFAULTS.coresPerHost)
    .option('--memory-per-host <MiB>', 'memory a host reports', number, LAB_DEFAULTS.memoryPerHostMib)
    .option('--placement <list>', 'first host of VMs, for example vm1=host1,vm2=host1 (default: round robin)')
    .option('--mode <mode>', 'observe, approve or automatic', LAB_DEFAULTS.mode)
    .option('--no-plimsoll', 'only the hosts: no controller, no agents')
    .option('--keep-failed', 'leave a lab whose start failed as it is, to look at its logs')
    .action(up);
  root
    .command('status')
    .description('Show labs, their hosts, services and guests.')
    .option('--name <name>', 'only this lab')
    .option('-o, --output <format>', 'table or json', 'table')
    .action(status);
  root
    .command('shell')
    .description('Run a command, or a shell, in a host.')
    .argument('<host>', 'host1, host2, ...')
    .argument('[command...]', 'after --')
    .option('--name <name>', 'the lab', LAB_DEFAULTS.name)
    .action(shell);
  root
    .command('down')
    .description('Take a lab away, also a half-built or crashed one.')
    .option('--name <name>', 'the lab', LAB_DEFAULTS.name)
    .option('--all', 'every lab of this machine')
    .action(down);
  return root;
}

try {
  await program().parseAsync(process.argv);
} catch (error) {
  if (!(error instanceof LabError)) throw error;
  console.error(`plimsoll lab: ${error.message} [${error.code}]`);
  process.exitCode = error.code === 'lab-aborted' ? ABORTED_EXIT_CODE : 1;
}
