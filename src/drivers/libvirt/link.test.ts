import { duplexPair, type Duplex } from 'node:stream';
import { describe, expect, it, vi } from 'vitest';

import type { LibvirtClient } from './client.ts';
import { LibvirtError } from './errors.ts';
import { Link, type LinkOptions } from './link.ts';
import { decodeMessage, encodeMessage, PacketSplitter } from './message.ts';

/** A daemon that says yes to everything; `end` breaks the connection. */
function agreeable(): { readonly ours: Duplex; readonly end: () => void } {
  const [ours, theirs] = duplexPair();
  const splitter = new PacketSplitter();
  theirs.on('data', (chunk: Uint8Array) => {
    for (const packet of splitter.push(chunk)) {
      const { header } = decodeMessage(packet);
      // AUTH_LIST answers an empty list, CONNECT_SUPPORTS_FEATURE "no".
      const body = header.procedure === 66 || header.procedure === 60 ? Buffer.alloc(4) : new Uint8Array();
      theirs.write(encodeMessage({ ...header, type: 1 }, body));
    }
  });
  return { ours, end: () => theirs.end() };
}

function link(openStream: LinkOptions['openStream'], log: string[] = [], connectDeadlineMs = 1_000): Link {
  return new Link({
    uri: 'qemu:///system',
    openStream,
    backoffMs: { first: 1, max: 4 },
    connectDeadlineMs,
    prepare: async () => undefined,
    onUp: () => log.push('up'),
    onDown: (reason) => log.push(`down: ${reason.code}`),
  });
}

const signal = new AbortController().signal;

describe('a link', () => {
  it('gives out one connection until it is lost, then a new one', async () => {
    const log: string[] = [];
    const daemons: ReturnType<typeof agreeable>[] = [];
    const up = link(async () => {
      const daemon = agreeable();
      daemons.push(daemon);
      return daemon.ours;
    }, log);
    const first = await up.client(signal);
    expect(await up.client(signal)).toBe(first);
    daemons[0]?.end();
    await first.lost;
    await vi.waitFor(async () => expect(await up.client(signal)).not.toBe(first));
    expect(log).toEqual(['up', 'down: connection-lost', 'up']);
    await up.close();
    expect(log.at(-1)).toBe('down: connection-closed');
  });

  it('refuses at once between attempts, and goes on trying', async () => {
    let attempts = 0;
    const trying = link(async () => {
      attempts += 1;
      if (attempts < 4) throw new LibvirtError('connect-failed', 'nobody there');
      return agreeable().ours;
    });
    await expect(trying.client(signal)).rejects.toMatchObject({ code: 'connect-failed' });
    let client: LibvirtClient | null = null;
    await vi.waitFor(async () => {
      client = await trying.client(signal);
    });
    expect(client).not.toBeNull();
    expect(attempts).toBe(4);
    await trying.close();
  });

  it('ends an attempt that is stuck when it is closed', async () => {
    const stuck = link(async () => duplexPair()[0]);
    const waiting = stuck.client(signal).catch((error: unknown) => error);
    await stuck.close();
    expect(await waiting).toMatchObject({ code: 'connection-closed' });
    await expect(stuck.client(signal)).rejects.toMatchObject({ code: 'connection-closed' });
  });

  it('gives an attempt up at its deadline, and that is a failure to connect', async () => {
    const stuck = link(async () => duplexPair()[0], [], 10);
    await expect(stuck.client(signal)).rejects.toMatchObject({ code: 'connect-failed' });
    await stuck.close();
  });

  it('lets a caller give up waiting for an attempt', async () => {
    const stuck = link(async () => duplexPair()[0]);
    const abort = new AbortController();
    const waiting = stuck.client(abort.signal).catch((error: unknown) => error);
    abort.abort();
    expect(await waiting).toMatchObject({ code: 'aborted' });
    await stuck.close();
  });
});
