import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { HOST_LOCKS, HOST_PKI, MIGRATION_PORT_MAX, MIGRATION_PORT_MIN, hostDirectory } from './layout.ts';
import type { Layout } from './layout.ts';
import type { MachineSpec } from './machine.ts';
import { hostUuid } from './record.ts';
import type { HostRecord, LabRecord } from './record.ts';

/** libvirt offers TLS to other hosts with the identity that the join gave, and a plain Unix socket on the host itself. */
export const libvirtdConf = (lab: Layout, host: HostRecord): string => `listen_tls = 1
listen_tcp = 0
tls_port = "16514"
listen_addr = "0.0.0.0"
key_file = "${HOST_PKI}/host.key"
cert_file = "${HOST_PKI}/host.crt"
ca_file = "${HOST_PKI}/ca-bundle.crt"
crl_file = "${HOST_PKI}/crl.pem"
auth_tls = "none"
auth_unix_ro = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "${hostUuid(lab, host.name)}"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
log_filters = "1:qemu.qemu_migration 3:object 3:event 3:rpc"
ovs_timeout = 1
`;

/** The lab's hosts have no security driver, no cgroups of their own and run QEMU as root: they are namespaces of one machine. */
export const qemuConf = (host: HostRecord): string => `security_driver = "none"
security_default_confined = 0
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
migration_address = "0.0.0.0"
migration_host = "${host.underlay}"
migration_port_min = ${MIGRATION_PORT_MIN}
migration_port_max = ${MIGRATION_PORT_MAX}
migrate_tls_x509_cert_dir = "${HOST_PKI}/qemu"
migrate_tls_x509_verify = 1
max_core = 0
lock_manager = "lockd"
`;

export const QEMU_LOCKD_CONF = `auto_disk_leases = 1
require_lease_for_disks = 0
file_lockspace_dir = "${HOST_LOCKS}"
`;

/**
 * charon with ESP in user space (the kernel of a lab machine need not know ESP). 16 threads are the least that keeps VICI
 * answering (8 hang for ever, measured). The marks keep charon's own packets out of the tunnel.
 */
const STRONGSWAN_CONF = `charon {
  load = random nonce openssl x509 revocation constraints pubkey pkcs1 pkcs8 pem sha1 sha2 hmac kdf gcm aes chapoly curve25519 kernel-libipsec kernel-netlink socket-default vici updown counters
  install_routes = yes
  port = 500
  port_nat_t = 4500
  threads = 20
  # A silent peer is given up after 2 + 3 + 4.5 + 6.75 s, not after 165 s.
  retransmit_tries = 3
  retransmit_timeout = 2.0
  retransmit_base = 1.5
  filelog {
    log {
      path = /var/log/charon.log
      time_format = %F %T
      default = 1
      esp = 2
      flush_line = yes
    }
  }
  plugins {
    kernel-libipsec { 
      load = yes
      allow_peer_ts = yes
    }
    kernel-netlink { 
      fwmark = !0x42
    }
    socket-default { 
      fwmark = 0x42
    }
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

/**
 * Where libvirtd 9.0 looks when it is told to take new certificates into use (`virt-admin server-update-tls`): it then reads these
 * places and not those of libvirtd.conf, so they have to be the same files. [path in the host, file of the identity]
 */
export const LIBVIRT_PKI_LINKS: readonly (readonly [string, string])[] = [
  ['/etc/pki/CA/cacert.pem', 'ca-bundle.crt'],
  ['/etc/pki/CA/cacrl.pem', 'crl.pem'],
  ['/etc/pki/libvirt/servercert.pem', 'host.crt'],
  ['/etc/pki/libvirt/private/serverkey.pem', 'host.key'],
];

export function etcHosts(record: LabRecord): string {
  const names = record.hosts.map((h) => `${h.underlay} ${h.name}\n${h.protected} ${h.name}.protected\n`);
  return `127.0.0.1 localhost\n${names.join('')}`;
}

const QEMU_ACCOUNT = { name: 'libvirt-qemu', id: 64_055 };

/**
 * libvirtd's QEMU driver does not start without the account that Debian's libvirt-daemon-system would create, although
 * qemu.conf names another; in the lab it exists on the hosts only.
 */
async function accounts(): Promise<Record<string, string>> {
  const { name, id } = QEMU_ACCOUNT;
  const withLine = async (file: string, line: string): Promise<string> => {
    const text = await readFile(file, 'utf8');
    return text.split('\n').some((l) => l.startsWith(`${name}:`)) ? text : `${text.trimEnd()}\n${line}\n`;
  };
  return {
    'overlay/etc/passwd': await withLine('/etc/passwd', `${name}:x:${id}:${id}::/var/lib/libvirt:/usr/sbin/nologin`),
    'overlay/etc/group': await withLine('/etc/group', `${name}:x:${id}:`),
  };
}

/** Folders of a host that replace a folder of the machine: [below the host's folder, path in the host]. */
const BINDS: readonly (readonly [string, string])[] = [
  ['etc-libvirt', '/etc/libvirt'],
  ['etc-swanctl', '/etc/swanctl'],
  ['etc-plimsoll', '/etc/plimsoll'],
  ['var-lib-libvirt', '/var/lib/libvirt'],
  ['var-lib-plimsoll', '/var/lib/plimsoll'],
  ['cache-libvirt', '/var/cache/libvirt'],
  ['log', '/var/log'],
  ['run', '/run'],
];

const OVERLAID: readonly (readonly [string, string])[] = [
  ['etc', '/etc'],
  ['var-lib', '/var/lib'],
];

export interface HostMounts {
  readonly overlays: readonly string[];
  readonly binds: readonly string[];
}

/**
 * /etc and /var/lib are overlays so that mount points which this machine does not have can exist in the host; what holds state
 * of a daemon is replaced by an empty folder, so that nothing of the machine's own libvirt or strongSwan is seen.
 */
export function hostMounts(lab: Layout, host: string): HostMounts {
  const at = (name: string): string => join(hostDirectory(lab, host), name);
  return {
    overlays: OVERLAID.map(([name, path]) => `${path}:${at(`overlay/${name}`)}:${at(`overlay/${name}.work`)}`),
    binds: [`${join(lab.runDirectory, 'locks')}:${HOST_LOCKS}`, ...BINDS.map(([name, path]) => `${at(name)}:${path}`)].toSorted(
      // The lock space lies inside /var/lib/libvirt, and /run hides the folders everything else comes from: both last.
      (a, b) => mountRank(a) - mountRank(b),
    ),
  };
}

const mountRank = (bind: string): number => (bind.endsWith(':/run') ? 2 : bind.endsWith(`:${HOST_LOCKS}`) ? 1 : 0);

export async function writeHostFiles(lab: Layout, record: LabRecord, host: HostRecord): Promise<void> {
  const at = (...parts: string[]): string => join(hostDirectory(lab, host.name), ...parts);
  const folders = [
    ...BINDS.map(([name]) => at(name)),
    ...OVERLAID.flatMap(([name]) => [at('overlay', name), at('overlay', `${name}.work`)]),
    ...['overlay/etc/libvirt', 'overlay/etc/swanctl', 'overlay/etc/plimsoll', 'overlay/var-lib/libvirt', 'overlay/var-lib/plimsoll'].map(
      (p) => at(p),
    ),
    ...['run/lock', 'log/libvirt/qemu', 'log/services', 'var-lib-libvirt/lockspace', 'etc-plimsoll/pki'].map((p) => at(p)),
  ];
  for (const folder of folders) await mkdir(folder, { recursive: true });
  const files: Record<string, string> = {
    ...(await accounts()),
    'etc-libvirt/libvirtd.conf': libvirtdConf(lab, host),
    'etc-libvirt/qemu.conf': qemuConf(host),
    'etc-libvirt/qemu-lockd.conf': QEMU_LOCKD_CONF,
    'etc-libvirt/libvirt.conf': '',
    'etc-libvirt/virtlogd.conf': '',
    'etc-libvirt/virtlockd.conf': '',
    'overlay/etc/strongswan.conf': STRONGSWAN_CONF,
    'overlay/etc/hosts': etcHosts(record),
    'overlay/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n',
    'overlay/etc/hostname': `${host.name}\n`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(at(name), text);
  for (const [path, file] of LIBVIRT_PKI_LINKS) {
    await mkdir(at('overlay', dirname(path)), { recursive: true });
    await symlink(join(HOST_PKI, file), at('overlay', path));
  }
}

export function hostSocketPaths(lab: Layout, host: string): Pick<MachineSpec, 'socketPath' | 'socketPathInside' | 'pidFile'> {
  const directory = hostDirectory(lab, host);
  return { socketPath: join(directory, 'run/lab-init.sock'), socketPathInside: '/run/lab-init.sock', pidFile: join(directory, 'pid') };
}
