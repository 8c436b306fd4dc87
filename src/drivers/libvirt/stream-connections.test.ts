import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { endConnections, streamsOf, type SocketTool } from './stream-connections.ts';

/** As iproute2 6.1 lists the destination of a migration: libvirtd, QEMU's stream, another VM's, and a disk that the peer serves. */
const listed = `0     0         10.1.0.2:16514   10.1.0.1:39734 users:(("libvirtd",pid=18,fd=27))
0     791276    10.1.0.2:49152   10.1.0.1:46912 users:(("qemu-system-x86",pid=185,fd=17))
0     0         10.1.0.2:49153   10.1.0.1:46913 users:(("qemu-system-x86",pid=186,fd=17))
0     0         10.1.0.2:50412   10.1.0.1:3260  users:(("qemu-system-x86",pid=185,fd=9))
`;
const stream = { local: '10.1.0.2:49152', remote: '10.1.0.1:46912' };

describe('the connections of a stream', () => {
  it("are those of the VM's own process that lead to no server below", () => {
    expect(streamsOf(listed, [185])).toEqual([stream]);
    expect(streamsOf(listed, [999])).toEqual([]);
    expect(streamsOf('', [185])).toEqual([]);
  });

  it('are found at a source too, which has begun them', () => {
    const line = '0 2608 10.1.0.1:46912 10.1.0.2:49152 users:(("qemu-system-x86",pid=185,fd=33))\n';
    expect(streamsOf(line, [185])).toEqual([{ local: '10.1.0.1:46912', remote: '10.1.0.2:49152' }]);
  });

  it('are read with IPv6 addresses too', () => {
    const line = '0 0 [fd00::2]:49152 [fd00::1]:46912 users:(("qemu-system-x86",pid=185,fd=17))\n';
    expect(streamsOf(line, [185])).toEqual([{ local: '[fd00::2]:49152', remote: '[fd00::1]:46912' }]);
  });
});

describe('ending them', () => {
  const vmId = '00000000-0000-4000-8000-000000000001';
  const signal = new AbortController().signal;
  let folder: string;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'plimsoll-proc-'));
    await mkdir(join(folder, '185'));
    await writeFile(join(folder, '185', 'cmdline'), ['qemu', '-uuid', vmId, ''].join('\0'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  /** `isAble`: the kernel ends what it is told to. */
  function toolOf(isAble: boolean): { readonly tool: SocketTool; readonly killed: string[] } {
    const killed: string[] = [];
    const tool: SocketTool = async (args) => {
      if (!args.includes('-K')) return listed;
      killed.push(args.join(' '));
      return isAble ? `0 0 ${stream.local} ${stream.remote}\n` : '';
    };
    return { tool, killed };
  }

  it('ends exactly them', async () => {
    const { tool, killed } = toolOf(true);
    expect(await endConnections(vmId, '10.1.0.1', signal, tool, folder)).toBe(1);
    expect(killed).toEqual([`-K -HtnO state established src ${stream.local} dst ${stream.remote}`]);
  });

  it('says so where the kernel does not', async () => {
    const ending = endConnections(vmId, '10.1.0.1', signal, toolOf(false).tool, folder);
    await expect(ending).rejects.toMatchObject({ code: 'method-unsupported', message: expect.stringContaining('INET_DIAG_DESTROY') });
  });

  it('ends nothing of a VM that has no process here', async () => {
    const { tool, killed } = toolOf(true);
    expect(await endConnections('00000000-0000-4000-8000-000000000002', '10.1.0.1', signal, tool, folder)).toBe(0);
    expect(killed).toEqual([]);
  });
});
