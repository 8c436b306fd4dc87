/** Failures of the network between two hosts, in the middle of a post-copy. */
import { type LabGuest, type LabHost, waitFor } from '#lab/api.ts';

export interface Ends {
  readonly source: LabHost;
  readonly destination: LabHost;
}

export type Cut = (ends: Ends, stream: Stream) => Promise<Damage>;

export interface Damage {
  readonly mend: () => Promise<void>;
  /** Whether it stays until the migration is over: were it mended, the hosts would notice by themselves. */
  readonly staysToTheEnd: boolean;
}

/** Where the memory goes. */
export interface Stream {
  readonly to: string;
}

const table = 'plimsoll_cut';
/** QEMU's data streams, as the lab's qemu.conf says. */
const dataPorts = { low: 49_152, high: 49_215 };
const commandMs = 10_000;

async function must(host: LabHost, argv: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await host.exec(argv, { timeoutMs: commandMs, ...(input === undefined ? {} : { input }) });
  if (code !== 0) throw new Error(`${host.name}: '${argv.join(' ')}' failed: ${stderr.trim()}`);
  return stdout;
}

async function filter(host: LabHost, hook: 'input' | 'output', rule: string): Promise<void> {
  const text = `table inet ${table} {\n  chain cut {\n    type filter hook ${hook} priority -500; policy accept;\n    ${rule}\n  }\n}\n`;
  await must(host, ['nft', '-f', '-'], text);
}

async function unfilter(hosts: readonly LabHost[]): Promise<void> {
  await Promise.all(hosts.map((host) => must(host, ['nft', 'delete', 'table', 'inet', table])));
}

/** The kernel ends the source's end of the data connection, and tells the other end by a reset. */
async function resetFrom(source: LabHost, { to }: Stream): Promise<void> {
  const ports = ['dport', 'ge', `:${dataPorts.low}`, 'and', 'dport', 'le', `:${dataPorts.high}`];
  const ended = await must(source, ['ss', '-K', '-Htn', 'state', 'established', 'dst', to, 'and', '(', ...ports, ')']);
  if (ended.trim() === '') throw new Error(`${source.name} has no data connection with ${to}`);
}

/** Nothing that the hosts send arrives, and nobody is told; until it is taken away. */
export const blackHole: Cut = async ({ source, destination }) => {
  await Promise.all([
    filter(source, 'input', `ip saddr ${destination.underlay} drop`),
    filter(destination, 'input', `ip saddr ${source.underlay} drop`),
  ]);
  return { mend: () => unfilter([source, destination]), staysToTheEnd: false };
};

export const resetBothEnds: Cut = async ({ source }, stream) => {
  await resetFrom(source, stream);
  return { mend: async () => undefined, staysToTheEnd: false };
};

/** The destination is told nothing: QEMU there waits for memory over a connection that does not exist any more. */
export const resetSourceEnd: Cut = async ({ source }, stream) => {
  await filter(source, 'output', `tcp dport ${dataPorts.low}-${dataPorts.high} tcp flags & rst == rst drop`);
  await resetFrom(source, stream);
  return { mend: () => unfilter([source]), staysToTheEnd: true };
};

/** What libvirt says of the guest there, such as `paused (post-copy failed)`; empty where it has none. */
export async function stateOn(host: LabHost, guest: string): Promise<string> {
  const { stdout } = await host.exec(['virsh', '-q', 'domstate', '--reason', guest], { timeoutMs: commandMs });
  return stdout.trim();
}

export async function untilState(host: LabHost, guest: string, wanted: string): Promise<void> {
  const wait = { what: `${guest} to be '${wanted}' on ${host.name}`, timeoutMs: 60_000, intervalMs: 100 };
  await waitFor(async () => (await stateOn(host, guest)) === wanted, wait);
}

/**
 * The guest runs on its destination and beats, so its kernel's own pages are there. Before that its emulated CPU (TCG) takes an interrupt, holds QEMU's lock and
 * waits for a page of its stack: then QEMU hears nothing any more, and libvirt's `migrate-recover`, which it sends in band, waits for ever.
 */
export async function untilAtHome({ destination }: Ends, guest: LabGuest): Promise<void> {
  await untilState(destination, guest.name, 'running (post-copy)');
  const from = (await guest.beats())?.received ?? 0;
  const beats = async () => ((await guest.beats())?.received ?? 0) > from + 15;
  await waitFor(beats, { what: `${guest.name} to beat in post-copy`, timeoutMs: 30_000 });
}
