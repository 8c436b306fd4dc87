// Our client against spawning virsh, and the cost of one sample of a host with many guests, on a real libvirtd of its own.
// As root: node bench/libvirt/main.ts --help
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { optionsOf } from '#bench/options.ts';
import { LibvirtClient, openUnixSocket } from '#drivers/libvirt/client.ts';
import { createFlag, statsFlag, statsGroup } from '#drivers/libvirt/flags.ts';
import { createLibvirtHypervisor } from '#drivers/libvirt/hypervisor.ts';
import { missingForRealLibvirtd, RealLibvirtd } from '#test/contract/libvirt/real-libvirtd.ts';

const uri = 'qemu:///system';
const clockTicksPerSecond = 100;
const sampleGroups = statsGroup.state | statsGroup.cpu | statsGroup.balloon | statsGroup.vcpu | statsGroup.interface | statsGroup.block;

interface Timing {
  readonly name: string;
  readonly clientMs: number;
  readonly virshMs: number;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

async function meanMs(times: number, run: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  for (let index = 0; index < times; index += 1) await run();
  return (performance.now() - startMs) / times;
}

async function virsh(socketPath: string, ...command: readonly string[]): Promise<void> {
  const child = spawn('virsh', ['-q', '-c', `qemu+unix:///system?socket=${socketPath}`, ...command], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  child.once('error', reject);
  child.once('exit', (code) => (code === 0 ? resolve(undefined) : reject(new Error(`virsh ${command.join(' ')} ended with ${code}`))));
  await promise;
}

/** Client and virsh in turns, so that a busy moment of the machine hits both; the median round counts. Both are warm. */
async function compare(
  name: string,
  rounds: number,
  clientCalls: number,
  client: () => Promise<unknown>,
  spawned: () => Promise<unknown>,
): Promise<Timing> {
  const clientMs: number[] = [];
  const virshMs: number[] = [];
  await meanMs(clientCalls, client);
  for (let round = 0; round < rounds; round += 1) {
    clientMs.push(await meanMs(clientCalls, client));
    virshMs.push(await meanMs(4, spawned));
  }
  return { name, clientMs: median(clientMs), virshMs: median(virshMs) };
}

function guestXml(folder: string, number: number): string {
  const disk = join(folder, `disk-${number}.raw`);
  writeFileSync(disk, Buffer.alloc(1024 * 1024));
  return `<domain type='qemu'><name>bench-${number}</name><memory unit='MiB'>32</memory><vcpu>2</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/><target dev='vda' bus='virtio'/></disk>
<controller type='usb' model='none'/></devices></domain>`;
}

/** CPU milliseconds that libvirtd has used so far. */
function daemonCpuMs(daemon: RealLibvirtd): number {
  const fields = daemon.run('cat', `/proc/${daemon.daemonPid}/stat`).split(') ')[1]?.split(' ') ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / clockTicksPerSecond;
}

/** Mean CPU of one `sampleVms`, ours and the daemon's, and how long it takes. */
async function measureSamples(daemon: RealLibvirtd, guests: number): Promise<void> {
  const samples = 40;
  const signal = AbortSignal.timeout(300_000);
  const hypervisor = createLibvirtHypervisor({ socketPath: daemon.socketPath, uri, pkiPath: '/nonexistent' });
  try {
    for (let index = 0; index < 5; index += 1) await hypervisor.sampleVms(signal);
    const daemonBeforeMs = daemonCpuMs(daemon);
    const before = process.cpuUsage();
    let seen = 0;
    const wallMs = await meanMs(samples, async () => {
      seen = (await hypervisor.sampleVms(signal)).length;
    });
    const used = process.cpuUsage(before);
    if (seen !== guests) throw new Error(`${seen} VMs in the sample, ${guests} were started`);
    const ourMs = (used.user + used.system) / 1_000 / samples;
    const daemonMs = (daemonCpuMs(daemon) - daemonBeforeMs) / samples;
    print(`one sample of ${guests} real QEMU guests (TCG, vCPUs stopped, 32 MiB, 1 disk), mean of ${samples}:`);
    print(`  our CPU ${ourMs.toFixed(2)} ms, libvirtd's CPU ${daemonMs.toFixed(2)} ms, duration ${wallMs.toFixed(2)} ms`);
  } finally {
    await hypervisor.close();
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

function printTiming(timing: Timing): void {
  const perSecond = (ms: number): string => Math.round(1_000 / ms).toString();
  print(`${timing.name}:`);
  print(`  client ${timing.clientMs.toFixed(3)} ms, ${perSecond(timing.clientMs)} calls/s`);
  print(`  virsh  ${timing.virshMs.toFixed(3)} ms, ${perSecond(timing.virshMs)} calls/s`);
  print(`  ratio  ${(timing.virshMs / timing.clientMs).toFixed(1)}`);
}

async function bench(daemon: RealLibvirtd, guests: number, rounds: number): Promise<void> {
  const client = await LibvirtClient.open(await openUnixSocket(daemon.socketPath, AbortSignal.timeout(5_000)), {
    uri,
    callDeadlineMs: 60_000,
  });
  for (let number = 1; number <= guests; number += 1) await client.createXml(guestXml(daemon.folder, number), createFlag.paused);
  print(`round trip, median of ${rounds} alternating rounds, one call at a time, ${guests} guests`);
  const hostname = async (): Promise<unknown> => client.hostname();
  const stats = async (): Promise<unknown> => client.allDomainStats({ stats: sampleGroups, flags: statsFlag.active });
  const groups = ['--state', '--cpu-total', '--balloon', '--vcpu', '--interface', '--block'];
  printTiming(await compare('hostname', rounds, 200, hostname, async () => virsh(daemon.socketPath, 'hostname')));
  printTiming(
    await compare('statistics of all guests', rounds, 8, stats, async () =>
      virsh(daemon.socketPath, 'domstats', '--list-active', ...groups),
    ),
  );
  const pipelinedMs = await meanMs(50, async () => Promise.all(Array.from({ length: 40 }, hostname)));
  print(`hostname, four calls in flight: ${Math.round(40_000 / pipelinedMs)} calls/s`);
  await client.close();
  await measureSamples(daemon, guests);
}

const options = optionsOf({
  name: 'libvirt',
  does: 'Compares our libvirt client with spawning virsh, on a libvirtd of its own. As root.',
  options: {
    guests: { value: 'N', does: 'guests of the libvirtd (default: 20, at most 60)', max: 60 },
    rounds: { value: 'N', does: 'rounds, of which the median counts (default: 5)', max: 100 },
  },
  needsLab: false,
});
const missing = options === null ? null : missingForRealLibvirtd();
if (missing !== null) {
  process.stderr.write(`not run: this bench needs ${missing}\n`);
  process.exitCode = 2;
} else if (options !== null) {
  const [guests, rounds] = [Number(options['guests'] ?? 20), Number(options['rounds'] ?? 5)];
  const daemon = await RealLibvirtd.start();
  try {
    await bench(daemon, guests, rounds);
  } finally {
    await daemon.stop();
  }
}
