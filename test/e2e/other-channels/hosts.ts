import { execFileSync } from 'node:child_process';
import { appendFileSync, chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { type Lab, type LabHost, waitFor } from '#lab/api.ts';

const programs = { ssh: '/usr/bin/ssh', sshd: '/usr/sbin/sshd', age: '/usr/bin/age' } as const;

/** What these channels need beyond the lab and this machine does not have; null when everything is there. */
export function missingForOtherChannels(): string | null {
  if (process.getuid?.() !== 0) return 'root';
  const missing = Object.entries(programs).flatMap(([name, path]) => (existsSync(path) ? [] : [name]));
  return missing.length === 0 ? null : `the programs ${missing.join(', ')}`;
}

const keygen = (path: string): void => void execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', path]);
const readKey = (path: string): string => readFileSync(`${path}.pub`, 'utf8').trim();

/** An sshd on every host, and for every host a key that may open forwards on the others, which it knows by their host ids. */
export async function offerSsh(lab: Lab): Promise<void> {
  const folderOf = (host: LabHost): string => join(host.directory, 'etc-plimsoll/ssh');
  for (const host of lab.hosts) {
    mkdirSync(folderOf(host), { recursive: true, mode: 0o700 });
    for (const name of ['id', 'host']) keygen(join(folderOf(host), name));
  }
  for (const host of lab.hosts) {
    const others = lab.hosts.filter((other) => other !== host);
    const at = (name: string): string => join(folderOf(host), name);
    writeFileSync(at('known_hosts'), others.map((other) => `${other.name} ${readKey(join(folderOf(other), 'host'))}\n`).join(''));
    const permitted = others.map((other) => `restrict,port-forwarding,command="/bin/false" ${readKey(join(folderOf(other), 'id'))}\n`);
    writeFileSync(at('authorized_keys'), permitted.join(''), { mode: 0o600 });
    writeFileSync(
      at('sshd_config'),
      [
        `ListenAddress ${host.underlay}`,
        'HostKey /etc/plimsoll/ssh/host',
        'AuthorizedKeysFile /etc/plimsoll/ssh/authorized_keys',
        'PermitRootLogin prohibit-password',
        'PasswordAuthentication no',
        'KbdInteractiveAuthentication no',
        'UsePAM no',
        'AllowStreamLocalForwarding local',
        'AllowTcpForwarding local',
        '',
      ].join('\n'),
    );
    mkdirSync(join(host.directory, 'run/sshd'), { recursive: true, mode: 0o755 });
    await host.machine.startService({
      name: 'sshd',
      argv: ['/usr/sbin/sshd', '-D', '-e', '-f', '/etc/plimsoll/ssh/sshd_config'],
      restart: 'always',
      log: '/var/log/services/sshd.log',
    });
    await waitFor(async () => (await host.exec(['bash', '-c', `exec 3<>/dev/tcp/${host.underlay}/22`])).code === 0, {
      what: `sshd on ${host.name}`,
      timeoutMs: 10_000,
    });
  }
}

/** QEMU's own TLS with the host's identity, under the names that QEMU wants; libvirtd reads qemu.conf when it starts. */
export async function offerQemuTls(lab: Lab): Promise<void> {
  const names = [
    ['ca.crt', 'ca-cert.pem'],
    ['host.crt', 'server-cert.pem'],
    ['host.key', 'server-key.pem'],
    ['host.crt', 'client-cert.pem'],
    ['host.key', 'client-key.pem'],
  ] as const;
  for (const host of lab.hosts) {
    const pki = join(host.directory, 'etc-plimsoll/pki');
    const folder = join(pki, 'qemu-e2e');
    mkdirSync(folder, { recursive: true });
    for (const [from, to] of names) copyFileSync(join(pki, from), join(folder, to));
    for (const key of ['server-key.pem', 'client-key.pem']) chmodSync(join(folder, key), 0o600);
    const lines = ['migrate_tls_x509_cert_dir = "/etc/plimsoll/pki/qemu-e2e"', 'migrate_tls_x509_verify = 1', ''];
    appendFileSync(join(host.directory, 'etc-libvirt/qemu.conf'), lines.join('\n'));
    await host.killService('libvirtd');
    const answers = async (): Promise<boolean> =>
      host.virsh(['uri']).then(
        () => true,
        () => false,
      );
    await waitFor(answers, { what: `libvirtd on ${host.name}`, timeoutMs: 30_000 });
  }
}
