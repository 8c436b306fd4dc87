import { isIP } from 'node:net';
import { stringify } from 'yaml';
import { LabError } from '#lab/errors.ts';
import { QEMU_LOCKD_CONF, etcHosts, libvirtdConf, qemuConf } from '#lab/host-files.ts';
import { AGENT_CONFIG, HOST_PKI, guestNetAddress } from '#lab/layout.ts';
import type { Layout } from '#lab/layout.ts';
import { CONTROLLER_PORT, createToken } from '#lab/plimsoll.ts';
import type { HostRecord, LabRecord } from '#lab/record.ts';
import type { ServiceSpec } from '#lab/supervisor.ts';
import { waitFor } from '#lab/wait.ts';
import { controllerAddress } from './network.ts';
import { HOST_PLIMSOLL, protectedAddress6, underlayAddress6 } from './paths.ts';
import type { VmHost } from './vm-host.ts';
import { NODE_CACHE, warmUp } from './warm-cache.ts';

const START_MS_MAX = 180_000;

/**
 * What no daemon loads by itself; the ciphers are named so that the first SA does not wait for them. aesni_intel is twice as fast
 * as generic code on an emulated CPU too (25 against 10 MB/s of AES-256-GCM).
 */
const MODULES = [
  'kvm_amd tun bridge esp4 esp6 ah4 ah6 xfrm_user nf_tables drbg jitterentropy_rng ghash-generic gcm ctr seqiv',
  'echainiv authenc aesni_intel',
].flatMap((line) => line.split(' '));

/** charon with the kernel's own ESP and AH. */
const STRONGSWAN_CONF = `charon {
  load = random nonce openssl x509 revocation constraints pubkey pkcs1 pkcs8 pem sha1 sha2 hmac kdf gcm aes chapoly curve25519 kernel-netlink socket-default vici updown counters
  install_routes = yes
  threads = 20
  filelog {
    log {
      path = /var/log/charon.log
      time_format = %F %T
      default = 1
      flush_line = yes
    }
  }
  plugins {
    vici {
      socket = unix:///run/charon.vici
    }
  }
}
swanctl {
  socket = unix:///run/charon.vici
  load = pem pkcs1 x509 revocation constraints pubkey openssl random pkcs8
}
`;

function addressLines(lab: Layout, record: HostRecord, n: number, mtuBytes: number): string {
  return [
    `link set eth0 mtu ${mtuBytes} up`,
    `addr add ${record.underlay}/24 dev eth0`,
    `addr add ${underlayAddress6(lab, n)}/64 dev eth0 nodad`,
    `addr add ${record.protected}/32 dev lo`,
    `addr add ${protectedAddress6(lab, n)}/128 dev lo nodad`,
    'link add brvm type bridge mcast_snooping 0',
    `addr add ${guestNetAddress(lab, n)}/24 dev brvm`,
    'link set brvm up',
    'link set eth1 master brvm up',
  ].join('\n');
}

/** libvirt and QEMU listen on one IP version only where an address is given. */
function listenOn(text: string, ipVersion: number): string {
  return ipVersion === 6 ? text.replaceAll('"0.0.0.0"', '"::"') : text;
}

/** Kernel modules, addresses and configuration files. `v4` holds the addresses of IP version 4, whatever the lab's version is. */
export async function prepareHost(lab: Layout, record: LabRecord, v4: HostRecord, host: VmHost, signal?: AbortSignal): Promise<void> {
  await host.must(['modprobe', '-a', ...MODULES], { signal });
  await host.must(['ip', '-batch', '-'], { signal, input: `${addressLines(lab, v4, host.number, 1500)}\n` });
  const self = record.hosts[host.number - 1] ?? v4;
  const version = isIP(host.underlay);
  const files: Record<string, string> = {
    '/etc/hostname': `${host.name}\n`,
    '/etc/hosts': etcHosts(record),
    '/etc/strongswan.conf': STRONGSWAN_CONF,
    '/etc/libvirt/libvirtd.conf': listenOn(libvirtdConf(lab, v4), version),
    '/etc/libvirt/qemu.conf': listenOn(qemuConf(self), version),
    '/etc/libvirt/qemu-lockd.conf': QEMU_LOCKD_CONF,
    '/etc/libvirt/libvirt.conf': '',
    '/etc/libvirt/virtlogd.conf': '',
    '/etc/libvirt/virtlockd.conf': '',
  };
  for (const [path, text] of Object.entries(files)) await host.writeFile(path, text, '644', { signal });
  await warmUp(host, signal);
}

const service = (name: string, argv: readonly string[], env: Readonly<Record<string, string>> = {}): ServiceSpec => ({
  name,
  argv,
  env,
  restart: 'always',
  log: `/var/log/services/${name}.log`,
});

/** The one emulated CPU belongs to who must answer in time; a guest's QEMU with its encryption would take all of it. */
const first = (argv: readonly string[]): string[] => ['nice', '-n', '-10', ...argv];

const DAEMONS: readonly ServiceSpec[] = [
  service('virtlogd', ['virtlogd']),
  service('virtlockd', ['virtlockd']),
  service('libvirtd', ['libvirtd', '--listen']),
  service('charon', first(['/usr/lib/ipsec/charon'])),
];

/** Starts libvirtd (which needs the host's certificates), charon and what they need; both answer when this returns. */
export async function startHostDaemons(host: VmHost, signal?: AbortSignal): Promise<void> {
  await host.must(['mkdir', '-p', '/var/lib/libvirt/lockspace', '/run/libvirt'], { signal });
  for (const daemon of DAEMONS) await host.startService(daemon);
  const answers = (argv: readonly string[]) => async (): Promise<boolean> => (await host.exec(argv, { signal })).code === 0;
  const what = (name: string): string => `${name} on ${host.name}`;
  const how = { timeoutMs: START_MS_MAX, intervalMs: 200, signal };
  await waitFor(answers(['swanctl', '--stats']), { what: what('charon'), ...how });
  await waitFor(answers(['virsh', 'domcapabilities', '--virttype', 'kvm']), { what: what('libvirtd'), ...how });
}

const nodeCache = { NODE_COMPILE_CACHE: NODE_CACHE };

function agentConfig(lab: Layout, record: LabRecord, host: VmHost): object {
  return {
    hostId: host.name,
    controller: `https://${controllerAddress(lab)}:${CONTROLLER_PORT}`,
    identityDir: HOST_PKI,
    stateDir: '/var/lib/plimsoll',
    libvirt: { socket: '/run/libvirt/libvirt-sock', uri: 'qemu:///system' },
    ipsec: { viciSocket: '/run/charon.vici', establishMsMax: 25_000 },
    addresses: { underlay: host.underlay, protected: host.protected, interface: 'eth0' },
    // Emulated processors: a reading takes most of a second of one, and twice a second would leave the migration no time.
    channelWatch: { intervalMs: 3000, readingMsMax: 15_000 },
    sampleIntervalMs: 5000,
    ...record.options.agentConfig,
  };
}

/** Gives the host its identity by a one-time token, as an operator does it. */
export async function joinVmHost(lab: Layout, record: LabRecord, host: VmHost, signal?: AbortSignal): Promise<void> {
  await host.writeFile(AGENT_CONFIG, stringify(agentConfig(lab, record, host)), '644', { signal });
  const { token, caFingerprint } = await createToken(lab, host.name, signal);
  const env = Object.entries(nodeCache).map(([key, value]) => `${key}=${value}`);
  const join = [HOST_PLIMSOLL, 'agent', 'join', '--config', AGENT_CONFIG, '--token-file', '-', '--ca-fingerprint', caFingerprint];
  const result = await host.exec(['env', ...env, ...join], { input: token, signal, timeoutMs: START_MS_MAX });
  if (result.code !== 0) throw new LabError('lab-command-failed', `${host.name} cannot join: ${result.stderr.trim().slice(-2000)}`);
}

export async function startVmAgent(host: VmHost): Promise<void> {
  await host.startService(service('agent', first([HOST_PLIMSOLL, 'agent', 'run', '--config', AGENT_CONFIG]), nodeCache));
}
