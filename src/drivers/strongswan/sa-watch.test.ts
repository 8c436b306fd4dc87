import { describe, expect, it } from 'vitest';
import type { SecurityAssociation } from '#core/model/channel.ts';
import { SaWatch } from './sa-watch.ts';

const sa = (peerHostId: string, childUniqueId: string, state: SecurityAssociation['state'] = 'installed'): SecurityAssociation => ({
  peerHostId,
  ikeUniqueId: '1',
  childUniqueId,
  protocol: 'esp',
  state,
  mode: 'tunnel',
  udpEncapsulated: true,
  encryption: 'AES_GCM_16-256',
  integrity: null,
  keyExchange: 'ECP_384',
  spiIn: '00000001',
  spiOut: '00000002',
  bytesIn: 0,
  bytesOut: 0,
  packetsIn: 0,
  packetsOut: 0,
  extendedSequenceNumbers: false,
  outer: null,
  replaced: [],
});

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function watching(): { watch: SaWatch; told: string[]; set(...sas: readonly SecurityAssociation[]): void; fail(): void } {
  let list: () => Promise<readonly SecurityAssociation[]> = () => Promise.resolve([]);
  const watch = new SaWatch(() => list());
  const told: string[] = [];
  watch.onChange(({ peerHostId, up }) => told.push(`${peerHostId} ${up ? 'up' : 'down'}`));
  return {
    watch,
    told,
    set: (...sas) => {
      list = () => Promise.resolve(sas);
    },
    fail: () => {
      list = () => Promise.reject(new Error('away'));
    },
  };
}

describe('the watch over SAs', () => {
  it('tells each change once', async () => {
    const { watch, told, set } = watching();
    set(sa('b', '1'), sa('c', '2'), sa('d', '3', 'deleting'));
    watch.refresh();
    await settle();
    watch.noticed('b', true);
    await settle();
    set(sa('c', '2'));
    watch.noticed('b', false);
    await settle();
    expect(told).toEqual(['b up', 'c up', 'b down']);
  });

  it('tells nothing when one of two SAs with a peer goes away', async () => {
    const { watch, told, set } = watching();
    set(sa('b', '1'), sa('b', '2'));
    watch.refresh();
    await settle();
    set(sa('b', '2'));
    watch.noticed('b', false);
    await settle();
    expect(told).toEqual(['b up']);
  });

  it('tells down and up when the SA was replaced between two listings', async () => {
    const { watch, told, set } = watching();
    set(sa('b', '1'));
    watch.refresh();
    await settle();
    set(sa('b', '2'));
    watch.noticed('b', false);
    watch.noticed('b', true);
    await settle();
    expect(told).toEqual(['b up', 'b down', 'b up']);
  });

  it('tells nothing when a rekeying replaced the SA', async () => {
    const { watch, told, set } = watching();
    set(sa('b', '1'));
    watch.refresh();
    await settle();
    set(sa('b', '2'), sa('b', '1', 'deleting'));
    watch.refresh();
    await settle();
    expect(told).toEqual(['b up']);
  });

  it('tells that all are down when the daemon is away, and what is up when it is back', async () => {
    const { watch, told, set, fail } = watching();
    set(sa('b', '1'));
    watch.refresh();
    await settle();
    watch.lost();
    await settle();
    fail();
    watch.refresh();
    await settle();
    set(sa('c', '1'));
    watch.refresh();
    await settle();
    expect(told).toEqual(['b up', 'b down', 'c up']);
  });

  it('does not tell a listener that left', async () => {
    const { watch, told, set } = watching();
    const second: string[] = [];
    const leave = watch.onChange(({ peerHostId }) => second.push(peerHostId));
    leave();
    set(sa('b', '1'));
    watch.refresh();
    await settle();
    expect([told, second]).toEqual([['b up'], []]);
  });
});
