import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';

import { openSshForward, type SshOptions } from '#drivers/transports/ssh-forward.ts';
import { failureOf } from '#test/support/failure.ts';

const hasSsh = existsSync('/usr/bin/ssh');
const runFolder = mkdtempSync(join(tmpdir(), 'plimsoll-ssh-'));
const options: SshOptions = {
  user: 'plimsoll',
  keyFile: '/etc/plimsoll/ssh/id',
  knownHostsFile: '/etc/plimsoll/ssh/known_hosts',
  port: 22,
  runFolder,
  peerSocketPath: '/run/libvirt/libvirt-sock',
  dataPorts: { first: 49_224, last: 49_239 },
  connectDeadlineMs: 10_000,
};

describe.runIf(hasSsh)(`opening an ssh forward${hasSsh ? '' : ': not run, needs the program ssh'}`, () => {
  afterAll(() => rmSync(runFolder, { recursive: true, force: true }));

  const peer = { hostId: 'host2', underlay: '127.0.0.1' };

  it('says what is wrong when the peer is no sshd, and leaves nothing behind', async () => {
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const failure = await failureOf(openSshForward({ ...options, port }, peer, AbortSignal.timeout(20_000)));
    expect(failure).toMatchObject({ code: 'channel-failed', message: expect.stringContaining('known_hosts') });
    server.close();
    expect(readdirSync(runFolder)).toEqual([]);
  });

  it('is given up when the caller wants, and not begun without a free port', async () => {
    const server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const abort = new AbortController();
    server.once('connection', () => abort.abort());
    expect(await failureOf(openSshForward({ ...options, port }, peer, abort.signal))).toMatchObject({ code: 'aborted' });
    const busy = { ...options, dataPorts: { first: port, last: port } };
    expect(await failureOf(openSshForward(busy, peer, AbortSignal.timeout(20_000)))).toMatchObject({ code: 'channel-failed' });
    server.close();
  });
});
