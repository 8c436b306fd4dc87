/** Values for the agent's own tests. */
import { encodeBase64 } from '#core/access/base64.ts';
import { preAuthenticationEncoding, ticketPayloadType } from '#core/access/envelope.ts';
import { exampleSa } from '#core/channel/examples.ts';
import type { ChannelProfile, SecurityAssociation } from '#core/model/channel.ts';
import { defaultProfile, pilotPolicyOf } from '#core/model/policy.ts';
import type { TransferPlan } from '#core/model/forecast.ts';
import type { Progress } from '#core/model/migration.ts';
import type { SignedTicket, Ticket } from '#core/model/ticket.ts';
import { bytes } from '#core/model/units.ts';
import type { VmView } from '#core/model/vm.ts';
import type { Hypervisor } from '#core/ports.ts';
import type { CommandArgs, Peer } from '#wire/agent-protocol.ts';
import type { AgentSettings } from './parts.ts';

export const vmId = '00000000-0000-4000-8000-000000000001';
/** Proposals with exactly what `association` says was negotiated. */
export const profile: ChannelProfile = defaultProfile;
export const peer: Peer = { hostId: 'b', addresses: { underlay: '10.0.0.2', protected: '10.1.0.2', interface: 'eth0' }, profile };
export const otherPeer: Peer = { ...peer, hostId: 'c' };

export const settings: AgentSettings = {
  hostId: 'a',
  addresses: { underlay: '10.0.0.1', protected: '10.1.0.1', interface: 'eth0' },
  sampleIntervalMs: 3000,
  memoryCapacityBytes: null,
  version: '0.0.0',
};

/** A plain pre-copy. */
export const plan: TransferPlan = {
  options: { method: 'pre-copy', autoConverge: null, streams: 1, compression: 'none', bandwidthBytesPerSecond: 0, downtimeMsMax: 300 },
  pilot: pilotPolicyOf('balanced'),
  reason: 'a test',
  prediction: null,
};

export const startArgs: CommandArgs<'transfer.start'> = {
  migrationId: 'm1',
  vmId,
  peer,
  channelKind: 'ipsec',
  plan,
  noProgressMsMax: 150_000,
};

export const vmMac = '52:54:00:00:00:01';

export const vmDefinition: CommandArgs<'vm.offer'>['definition'] = {
  vmId,
  name: 'web1',
  type: 'kvm',
  architecture: 'x86_64',
  machine: 'pc-q35-7.2',
  emulator: '/usr/bin/qemu-system-x86_64',
  vcpus: 1,
  memoryBytes: bytes(2 ** 30),
  cpuMode: 'host-model',
  cpuModel: null,
  interfaces: [{ kind: 'bridge', source: 'br0', mac: vmMac }],
  disks: [],
  leases: [],
  hostOnly: [],
  persistent: true,
};

/** What a hypervisor offers that has all that the VM needs. */
export const hypervisorOffer: Awaited<ReturnType<Hypervisor['offerFor']>> = {
  libvirtVersion: 9_000_000,
  qemuVersion: 7_002_022,
  machines: ['pc-q35-7.2'],
  cpu: 'identical',
  cpuDetail: null,
  emulatorPresent: true,
  networks: ['br0'],
  disks: [],
  leasesMissing: [],
};

/** In the first pass over one gibibyte, half of it sent. */
export function progressOf(changes: Partial<Progress> = {}): Progress {
  return {
    elapsedMs: 1000,
    memoryTotalBytes: 2 ** 30,
    memoryRemainingBytes: 2 ** 29,
    memorySentBytes: 2 ** 29,
    bandwidthBytesPerSecond: 2 ** 27,
    dirtyPagesPerSecond: 0,
    pageSizeBytes: 4096,
    iteration: 1,
    expectedDowntimeMs: null,
    stage: 'copying',
    throttlePercent: null,
    ...changes,
  };
}

export function association(changes: Partial<SecurityAssociation> = {}): SecurityAssociation {
  return exampleSa({ udpEncapsulated: true, extendedSequenceNumbers: false, spiIn: 'bb', spiOut: 'aa', ...changes });
}

/** The SA that follows `sa` by a rekey. */
export function rekeyed(sa: SecurityAssociation, changes: Partial<SecurityAssociation> = {}): SecurityAssociation {
  const { spiIn, spiOut, bytesIn, bytesOut, packetsIn, packetsOut } = sa;
  const replaced = [...sa.replaced, { spiIn, spiOut, bytesIn, bytesOut, packetsIn, packetsOut }];
  const fresh = { spiIn: `${spiIn}1`, spiOut: `${spiOut}1`, bytesIn: 0, bytesOut: 0, packetsIn: 0, packetsOut: 0 };
  return { ...sa, childUniqueId: String(Number(sa.childUniqueId) + 1), ...fresh, replaced, ...changes };
}

export function runningVm(changes: Partial<VmView> = {}): VmView {
  const memoryBytes = bytes(2 ** 30);
  return { vmId, name: 'web1', state: 'running', vcpus: 1, memoryBytes, persistent: true, jobActive: false, postCopy: null, ...changes };
}

/** A keyed checksum: enough to tell the controller's key from another and a changed byte from the signed one. */
export function checksum(key: string, data: Uint8Array): Uint8Array {
  let sum = 0;
  for (const byte of [...new TextEncoder().encode(key), ...data]) sum = (Math.imul(sum, 31) + byte) >>> 0;
  return new TextEncoder().encode(`${key} ${sum}`);
}

export const controllerKey = 'controller';
export function ticketOf(changes: Partial<Ticket> = {}): Ticket {
  const common = { ticketId: 't1', migrationId: 'm1', vmId, fromHostId: 'a', toHostId: 'b', vmEpoch: 3, controllerEpoch: 2 };
  return { ...common, issuedAtMs: 0, expiresAtMs: 100_000, ...changes };
}

export function signed(ticket: unknown, key = controllerKey, type = ticketPayloadType): SignedTicket {
  const payload = new TextEncoder().encode(JSON.stringify(ticket));
  return { payload: encodeBase64(payload), signature: encodeBase64(checksum(key, preAuthenticationEncoding(type, payload))) };
}

/** A certificate in form only: its DER is this text. */
export function pemOf(text: string): string {
  const der = encodeBase64(new TextEncoder().encode(text));
  return `-----BEGIN CERTIFICATE-----\n${der}\n-----END CERTIFICATE-----\n`;
}

/** 64 hex digits that show which text was hashed. */
export function fakeSha256(data: Uint8Array): string {
  return [...data]
    .map((byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .padEnd(64, '0')
    .slice(0, 64);
}

/** Rounds of one second in which as much is written as is sent: a pre-copy that never comes to an end. Four readings a second. */
export function stalledRounds(): { next(): Progress } {
  const [roundBytes, quarters] = [2 ** 28, 4];
  let tick = 0;
  return {
    next() {
      const [round, quarter] = [Math.floor(tick / quarters), tick % quarters];
      tick += 1;
      return progressOf({
        elapsedMs: tick * 250,
        iteration: round + 1,
        memorySentBytes: (tick * roundBytes) / quarters,
        memoryRemainingBytes: roundBytes - (quarter * roundBytes) / quarters,
        bandwidthBytesPerSecond: roundBytes,
        dirtyPagesPerSecond: roundBytes / 4096,
      });
    },
  };
}
