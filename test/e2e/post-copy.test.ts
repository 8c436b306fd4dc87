/** A network failure in the middle of a post-copy: half of the VM's memory is on each host, and neither alone is the VM. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { table } from '#cli/table.ts';
import { type LabGuest, waitFor } from '#lab/api.ts';
import { leaseHolders } from '#test/faults/locks.ts';
import { judgeSamples } from '#test/faults/oracle/judge.ts';
import { Oracle } from '#test/faults/oracle/oracle.ts';
import type { MigrationResource } from '#wire/api.ts';
import { type Cluster, hostOf, knownOn, otherHost, receiptOf, startCluster, untilOver } from './cluster.ts';
import { blackHole, type Cut, type Ends, resetBothEnds, resetSourceEnd, stateOn, untilAtHome, untilState } from './post-copy/cuts.ts';
import { expectWhole } from './post-copy/whole.ts';
import { cutWithoutRecovery } from './post-copy/without-recovery.ts';

/** So slow that the memory of the guest takes 15 s, and what it has written meanwhile 8 s. */
const rate = '60mbit';
const guestSize = { guestMemoryMib: 128, workingSetMib: 64 };
const load = { cpuPercent: 5, dirtyMbPerSecond: 12, diskWritesPerSecond: 5 };
const blackHoleMs = 8_000;
/** Without anybody's help for this long, nobody comes. */
const helplessMs = 10_000;

type Method = 'post-copy' | 'hybrid';

interface Row {
  readonly story: string;
  readonly postCopyMs: number;
  readonly noneMs: number;
  readonly recovered: string;
}

describe('a post-copy through IPsec', () => {
  let cluster: Cluster;
  let oracle: Oracle;
  const rows: Row[] = [];

  beforeAll(async () => {
    cluster = await startCluster({
      name: 'e2e-post-copy',
      hosts: 2,
      guests: 1,
      ...guestSize,
      rate,
      controllerConfig: { migration: { allowPostCopy: true } },
    });
    await guest().steer(load);
    oracle = await Oracle.start(cluster.lab);
  });
  afterAll(async () => {
    console.log(printRows(rows));
    await oracle?.stop();
    await cluster?.lab.down();
  });

  const guest = (): LabGuest => cluster.lab.guest('vm1');

  async function nextEnds(): Promise<Ends> {
    const from = await hostOf(cluster, 'vm1');
    await knownOn(cluster, 'vm1', from);
    return { source: cluster.lab.host(from), destination: cluster.lab.host(otherHost(cluster, from)) };
  }

  it('goes on by itself when the link was a black hole for 8 s', async () => {
    const { noneMs } = await cutInPostCopy('post-copy', blackHole, async (_ends, migrationId) => {
      const sinceMs = Date.now();
      const lasted = (ms: number) => waitFor(() => Date.now() - sinceMs >= ms, { what: 'the black hole', timeoutMs: 2 * blackHoleMs });
      const sent = async () => (await cluster.client.migration(migrationId)).progress?.memorySentBytes;
      await lasted(blackHoleMs / 2);
      const before = await sent();
      await lasted(blackHoleMs);
      expect(await sent()).toBe(before);
    });
    // The guest stood for want of a page, and not for long after the link was back.
    expect(noneMs).toBeGreaterThan(blackHoleMs / 2);
    expect(noneMs).toBeLessThan(blackHoleMs + 22_000);
  });

  const resets: readonly (readonly [method: Method, what: string, cut: Cut, seen: RegExp])[] = [
    ['post-copy', 'both ends of its connection were reset', resetBothEnds, /^running \(post-copy/],
    ['hybrid', "only the source's end was reset, and its destination does not know", resetSourceEnd, /^running \(post-copy\)$/],
  ];

  it.each(resets)('as %s is halted and taken up again when %s', async (method, _what, cut, seen) => {
    const { migration } = await cutInPostCopy(method, cut, async ({ source, destination }) => {
      await untilState(source, 'vm1', 'paused (post-copy failed)');
      expect(await stateOn(destination, 'vm1')).toMatch(seen);
    });
    const recoveries = migration.decisions.filter(({ by }) => by === 'recovery');
    expect(recoveries).toEqual([
      expect.objectContaining({ action: 'recover post-copy', reason: expect.stringMatching(/had lost each other for \d+\.\d s/) }),
    ]);
  });

  it('stays in halves when nobody takes it up again (the control arm: virsh alone, the same cut)', async () => {
    const ends = await nextEnds();
    await cutWithoutRecovery(cluster.lab, guest(), ends, resetBothEnds);
    const silent = async () => Date.now() - ((await guest().beats())?.lastBeatAtMs ?? 0) > helplessMs;
    await waitFor(silent, { what: 'the guest to have stood for long', timeoutMs: 3 * helplessMs });
    expect(await stateOn(ends.source, 'vm1')).toBe('paused (post-copy failed)');
    expect(await stateOn(ends.destination, 'vm1')).toMatch(/^running \(post-copy/);
  });

  /** Moves the guest, cuts in the middle of the post-copy, and looks at all that must hold afterwards whatever was cut. */
  async function cutInPostCopy(
    method: Method,
    cut: Cut,
    meanwhile: (ends: Ends, migrationId: string) => Promise<void>,
  ): Promise<{ readonly migration: MigrationResource; readonly noneMs: number }> {
    const ends = await nextEnds();
    const { destination } = ends;
    const { bootId } = await expectWhole(guest(), cluster.lab.hosts);
    const sight = oracle.guest('vm1');
    sight.clear();
    await cluster.lab.client.reset('vm1');
    const { request } = await cluster.client.migrate({ vm: 'vm1', toHostId: destination.name, wish: { method } });
    await untilAtHome(ends, guest());
    const sinceMs = Date.now();
    const damage = await cut(ends, { to: destination.protected });
    let migration: MigrationResource;
    try {
      await meanwhile(ends, request.migrationId);
      if (!damage.staysToTheEnd) await damage.mend();
      migration = await untilOver(cluster, request.migrationId);
    } finally {
      if (damage.staysToTheEnd) await damage.mend();
    }
    expect(migration).toMatchObject({ phase: 'done', failure: null });
    const postCopyMs = Date.now() - sinceMs;

    const beats = await expectWhole(guest(), cluster.lab.hosts);
    expect(beats.bootId).toBe(bootId);
    const seen = judgeSamples(sight.samples, { duplicates: beats.duplicates, largestGapMs: beats.largestGapMs }, Date.now());
    expect(seen).toMatchObject({ twoCopies: false, runsOn: [destination.name], otherCopiesOn: [] });
    expect(await hostOf(cluster, 'vm1')).toBe(destination.name);
    expect(await leaseHolders(cluster.lab, 'vm1')).toEqual([destination.name]);
    expect(migration.measures?.arrival).toMatchObject({ definitionRight: true, sourceClean: true, announced: true, lockedOnce: true });
    expect(await receiptOf(cluster, request.migrationId)).toMatchObject({
      valid: true,
      statement: {
        outcome: 'moved',
        decisions: migration.decisions,
        channel: { kind: 'ipsec', traffic: { coversHypervisorBytes: true } },
      },
    });
    const recovered = migration.decisions.find(({ by }) => by === 'recovery')?.reason ?? 'not needed: the connection outlived it';
    rows.push({
      story: expect.getState().currentTestName?.split(' > ').at(-1) ?? method,
      postCopyMs,
      noneMs: beats.largestGapMs,
      recovered,
    });
    return { migration, noneMs: beats.largestGapMs };
  }
});

function printRows(rows: readonly Row[]): string {
  const columns = [
    { title: 'CASE', value: ({ story }: Row) => story },
    { title: 'IN POST-COPY', align: 'right' as const, value: ({ postCopyMs }: Row) => `${(postCopyMs / 1000).toFixed(1)} s` },
    { title: 'NO BEAT FOR', align: 'right' as const, value: ({ noneMs }: Row) => `${(noneMs / 1000).toFixed(1)} s` },
    { title: 'RECOVERED', value: ({ recovered }: Row) => recovered },
  ];
  return table(columns, rows, 'nothing was moved');
}
