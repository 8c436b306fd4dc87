import { findCgroupRoots } from './cgroup.ts';
import { LabError } from './errors.ts';
import { Lab } from './lab.ts';
import type { LabHost } from './lab.ts';
import type { GuestBeats } from './client/protocol.ts';
import { holderOf, readRecord } from './record.ts';

export interface LabStatus {
  readonly name: string;
  readonly state: 'starting' | 'ready' | 'crashed';
  readonly controllerSocket: string | undefined;
  readonly hosts: readonly HostStatus[];
  readonly guests: readonly GuestStatus[];
}

interface HostStatus {
  readonly name: string;
  readonly underlay: string;
  readonly protected: string;
  readonly up: boolean;
  /** For example "libvirtd": "running". */
  readonly services: Readonly<Record<string, string>>;
}

interface GuestStatus {
  readonly name: string;
  readonly address: string;
  /** One host; none when it is down, two would be a disaster. */
  readonly runsOn: readonly string[];
  readonly beats: GuestBeats | undefined;
}

async function hostStatus(host: LabHost): Promise<HostStatus> {
  const services = await host.services().catch(() => undefined);
  return {
    name: host.name,
    underlay: host.underlay,
    protected: host.protected,
    up: services !== undefined,
    services: Object.fromEntries((services ?? []).map((s) => [s.name, s.state])),
  };
}

/** @throws LabError `lab-unknown`. */
export async function labStatus(name: string): Promise<LabStatus> {
  const record = await readRecord(name);
  const holder = await holderOf(name);
  if (holder === 'nobody') throw new LabError('lab-unknown', `no lab '${name}' is up: run 'plimsoll lab up --name ${name}'`);
  if (record === undefined || holder !== 'ready') {
    return { name, state: holder, controllerSocket: undefined, hosts: [], guests: [] };
  }
  const lab = new Lab(await findCgroupRoots(), record);
  const [placement, beats] = await Promise.all([lab.placement(), lab.client.beats().catch(() => [])]);
  return {
    name,
    state: 'ready',
    controllerSocket: lab.controllerSocket,
    hosts: await Promise.all(lab.hosts.map(hostStatus)),
    guests: lab.guests.map((g) => ({
      name: g.name,
      address: g.address,
      runsOn: placement[g.name] ?? [],
      beats: beats.find((b) => b.guest === g.name),
    })),
  };
}

function servicesText(host: HostStatus): string {
  if (!host.up) return 'DOWN';
  return Object.entries(host.services)
    .map(([name, state]) => (state === 'running' ? name : `${name} (${state})`))
    .join(', ');
}

function beatsText(beats: GuestBeats | undefined): string {
  if (beats === undefined) return 'no beat yet';
  const { steering: s } = beats;
  const errors = beats.memoryErrors + beats.diskErrors + beats.kernelTroubles;
  return (
    `${beats.received} beats, ${beats.lost} lost, ${beats.duplicates} double, ${errors} errors, ` +
    `CPU ${s.cpuPercent} %, dirty ${s.dirtyMbPerSecond} MB/s, ${s.diskWritesPerSecond} writes/s`
  );
}

export function printStatus(status: LabStatus): void {
  console.log(`Lab ${status.name}: ${status.state}`);
  if (status.state === 'crashed') console.log(`  its start died: run 'plimsoll lab down --name ${status.name}'`);
  if (status.controllerSocket !== undefined) console.log(`  controller     unix:${status.controllerSocket}`);
  for (const h of status.hosts) console.log(`  ${h.name.padEnd(8)} ${h.underlay.padEnd(13)} ${h.protected.padEnd(13)} ${servicesText(h)}`);
  for (const g of status.guests) {
    console.log(`  ${g.name.padEnd(8)} ${g.address.padEnd(13)} ${(g.runsOn.join(' AND ') || 'down').padEnd(13)} ${beatsText(g.beats)}`);
  }
}
