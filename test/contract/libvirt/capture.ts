// Captures the packet fixtures anew: libvirt's own client (virsh) talks to a real libvirtd through a tap, and the first packet of
// each kind is written with notes. Run: node test/contract/libvirt/capture.ts [FOLDER] (needs root, libvirt and QEMU).
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';

import { fixtureFolder } from './fixtures.ts';
import { notePacket, type NotedPacket } from './packet-layouts.ts';
import { RealLibvirtd } from './real-libvirtd.ts';
import { guestXml } from './site.ts';
import { createTestPki } from './test-pki.ts';
import { until } from '#test/support/until.ts';

const folder = process.argv[2] ?? fixtureFolder;
const captured = new Map<string, { readonly from: string; readonly packet: NotedPacket }>();

/** Keeps the first packet of each kind; of event and job statistics one with parameters says more than one without. */
function keep(bytes: Uint8Array, from: string): void {
  const packet = notePacket(bytes);
  if (packet === null) return;
  const name = packet.name.toLowerCase().replaceAll('_', '-');
  const key = packet.side === 'keep-alive' ? name : `${name}-${packet.side}`;
  const known = captured.get(key);
  if (known === undefined || (packet.lines.length > known.packet.lines.length && packet.lines.length < 200))
    captured.set(key, { from, packet });
}

function tap(from: Socket, to: Socket, who: string): void {
  let buffer: Buffer = Buffer.alloc(0);
  from.on('data', (chunk) => {
    to.write(chunk);
    buffer = Buffer.concat([buffer, typeof chunk === 'string' ? Buffer.from(chunk) : chunk]);
    while (buffer.length >= 28 && buffer.length >= buffer.readUInt32BE(0)) {
      const length = buffer.readUInt32BE(0);
      keep(buffer.subarray(0, length), who);
      buffer = buffer.subarray(length);
    }
  });
  from.on('close', () => to.destroy());
  from.on('error', () => to.destroy());
}

async function virsh(socket: string, command: string): Promise<string> {
  const child = spawn('virsh', ['-k', '1', '-c', `qemu+unix:///system?socket=${socket}`, ...command.split(' ')]);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => void (said += text));
  await until(`virsh ${command} ends`, () => child.exitCode !== null, { timeoutMs: 60_000 });
  return said;
}

async function story(socket: string, xmlFile: string, destination: string): Promise<void> {
  for (const command of ['hostname', 'version --daemon', 'nodeinfo', 'nodecpustats', 'nodememstats', 'freecell', 'list --all']) {
    await virsh(socket, command);
  }
  const steps = [
    `define ${xmlFile}`,
    'list --all',
    'start guest --paused',
    'resume guest',
    'suspend guest',
    'resume guest',
    'domstate guest --reason',
    'dominfo guest',
    'dumpxml guest',
    'domstats --state --cpu-total --balloon --vcpu --interface --block',
    'domjobinfo guest',
    'domjobabort guest',
    'domstate nobody',
    'start guest',
    'migrate-setmaxdowntime guest 300',
  ];
  for (const step of steps) await virsh(socket, step);
  const watching = virsh(socket, 'event --all --loop --timeout 12');
  const flags = '--live --p2p --persistent --undefinesource --abort-on-error --bandwidth 1 --listen-address 127.0.0.12';
  const migrating = virsh(socket, `migrate ${flags} guest ${destination} tcp://127.0.0.12`);
  await until('a job is seen', async () => /Memory total/u.test(await virsh(socket, 'domjobinfo guest')), { timeoutMs: 10_000 }).catch(
    () => undefined,
  );
  process.stdout.write(await migrating);
  process.stdout.write(await watching);
  for (const step of [`define --validate ${xmlFile}`, 'start guest', 'managedsave guest', 'dominfo guest']) await virsh(socket, step);
  const image = '/var/lib/libvirt/qemu/save/guest';
  source.run('cp', `${image}.save`, `${image}.copy`);
  for (const step of ['managedsave-remove guest', `restore ${image}.copy --running`, 'destroy guest --graceful', 'undefine guest'])
    await virsh(socket, step);
}

function save(): void {
  mkdirSync(folder, { recursive: true });
  for (const file of readdirSync(folder)) if (file.endsWith('.packet')) rmSync(join(folder, file));
  for (const [key, { from, packet }] of captured) {
    const head = [`# ${packet.name} ${packet.side}, sent by ${from}, libvirt 9.0.0 of Debian 12`];
    writeFileSync(join(folder, `${key}.packet`), `${[...head, ...packet.lines].join('\n')}\n`);
  }
  process.stdout.write(`${captured.size} packets captured\n`);
}

const addresses = ['127.0.0.11', '127.0.0.12'] as const;
const pki = createTestPki(addresses);
const source = await RealLibvirtd.start({ tlsAddress: addresses[0], pki: pki.folderOf(addresses[0]) });
const destination = await RealLibvirtd.start({ tlsAddress: addresses[1], pki: pki.folderOf(addresses[1]), peer: source });
const tapPath = join(source.folder, 'tap');
const server = createServer((client) => {
  const daemon = connect(source.socketPath);
  tap(client, daemon, 'the client');
  tap(daemon, client, 'the daemon');
});
try {
  server.listen(tapPath);
  const xmlFile = join(source.folder, 'guest.xml');
  const more = { uuid: '6f1d9e0a-3c55-4b7e-9a3f-0c1d2e3f4a5b', memoryMib: 32 };
  writeFileSync(xmlFile, guestXml('guest', more));
  await story(tapPath, xmlFile, `qemu+tls://${addresses[1]}/system?pkipath=${pki.folderOf(addresses[0])}`);
  save();
} finally {
  server.close();
  await destination.stop();
  await source.stop();
  pki.remove();
}
