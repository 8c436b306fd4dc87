import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, describe, expect, it } from 'vitest';

import { bridgeNames, hasDevice, hostSurroundings } from './surroundings.ts';

const folder = mkdtempSync(join(tmpdir(), 'plimsoll-surroundings-'));
const surroundings = hostSurroundings();
const signal = AbortSignal.timeout(10_000);

afterAll(() => rmSync(folder, { recursive: true }));

describe('what is around a VM on its host', () => {
  it('are files that can be used, or a reason why not', async () => {
    const path = join(folder, 'disk');
    writeFileSync(path, '');
    expect(await surroundings.pathFault(path, 'write')).toBeNull();
    expect(await surroundings.pathFault(path, 'execute')).toBe('it may not be opened');
    expect(await surroundings.pathFault(join(folder, 'missing'), 'read')).toBe('it is not there');
    expect(await surroundings.pathFault(join(path, 'below'), 'exist')).toBe('it is not there');
  });

  it('are ports where somebody listens, or a reason why not', async () => {
    const server = createServer((socket) => socket.destroy());
    const { promise, resolve } = Promise.withResolvers<undefined>();
    server.listen(0, '127.0.0.1', () => resolve(undefined));
    await promise;
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    expect(await surroundings.portFault('127.0.0.1', port, signal)).toBeNull();
    const closed = Promise.withResolvers<undefined>();
    server.close(() => closed.resolve(undefined));
    await closed.promise;
    expect(await surroundings.portFault('127.0.0.1', port, signal)).toBe('nobody listens there');
  });

  it('gives up asking a port when told to', async () => {
    expect(await surroundings.portFault('127.0.0.1', 1, AbortSignal.abort())).not.toBeNull();
  });

  it('are bridges as iproute2 lists them', () => {
    expect(bridgeNames('[{"ifindex":3,"ifname":"br0"},{"ifname":"brvm"},{}]')).toEqual(['br0', 'brvm']);
    for (const odd of ['', '{}', '[1,null,"x"]', '[{"ifname":7}]', 'no JSON']) expect(bridgeNames(odd)).toEqual([]);
  });

  it('are devices as the kernel lists them, by their whole name', () => {
    const text = 'Inter-|   Receive\n face |bytes\n    lo: 1 2\n  eth0: 3 4\n';
    expect(hasDevice(text, 'eth0')).toBe(true);
    expect(hasDevice(text, 'eth')).toBe(false);
    expect(hasDevice(text, '')).toBe(false);
  });
});
