import { describe, expect, it } from 'vitest';

import { sshArguments, type SshOptions } from './ssh-forward.ts';

const options: SshOptions = {
  user: 'plimsoll',
  keyFile: '/etc/plimsoll/ssh/id',
  knownHostsFile: '/etc/plimsoll/ssh/known_hosts',
  port: 22,
  runFolder: '/run/plimsoll',
  peerSocketPath: '/run/libvirt/libvirt-sock',
  dataPorts: { first: 49_224, last: 49_239 },
  connectDeadlineMs: 10_000,
};

describe('the command of an ssh forward', () => {
  const argv = sshArguments(options, { hostId: 'host2', underlay: 'fd00::2' }, { controlSocket: '/run/plimsoll/s', dataPort: 49_230 });
  const line = argv.join(' ');

  it('never asks anybody, never trusts a new key, and knows the peer by its host id', () => {
    for (const wanted of ['BatchMode=yes', 'StrictHostKeyChecking=yes', 'HostKeyAlias=host2', 'GlobalKnownHostsFile=none', '-F none'])
      expect(line).toContain(wanted);
  });

  it('forwards the port to the same port of the loopback address, and the socket; ends when it cannot', () => {
    expect(line).toContain('-L 127.0.0.1:49230:127.0.0.1:49230 -L /run/plimsoll/s:/run/libvirt/libvirt-sock');
    expect(line).toContain('ExitOnForwardFailure=yes');
  });

  it('runs nothing on the peer, and an address is never taken for an option', () => {
    expect(argv).toContain('-N');
    expect(argv.slice(-2)).toEqual(['--', 'fd00::2']);
  });
});
