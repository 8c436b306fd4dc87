/** kill -9 at each stage of securing a migration: nothing goes in plain text, the guard stays, the channel heals by itself. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { table } from '#cli/table.ts';
import type { ScanResult } from '#lab/api.ts';
import { runControlArm } from '#lab/demo/control-arm.ts';
import { allHostsUp, type Cluster, expectSound, hostOf, knownOn, otherHost, startCluster, untilOver } from './cluster.ts';
import { killCases } from './securing/cases.ts';
import { type Journey, Signs, type Stage } from './securing/stages.ts';
import { aim, type Victim } from './securing/victims.ts';

const kills = Number(process.env['PLIMSOLL_E2E_SECURING_KILLS'] ?? 5);

const cases = killCases(kills).map(({ victim, stage }) => [victim.name, stage.name, victim, stage] as const);

interface Row {
  readonly victim: string;
  readonly stage: string;
  readonly seen: string;
  readonly outcome: string;
  readonly espPackets: number;
}

describe('kill -9 while a migration is being secured', () => {
  let cluster: Cluster;
  let guards: readonly string[];
  const rows: Row[] = [];

  beforeAll(async () => {
    const small = { guestMemoryMib: 80, workingSetMib: 16 };
    cluster = await startCluster({ name: 'e2e-secure', hosts: 2, guests: 1, ...small, agentConfig: { sampleIntervalMs: 1000 } });
    guards = await guardRules();
    for (const rules of guards) expect(rules).toContain('seal');
    await guest().steer({ cpuPercent: 5, dirtyMbPerSecond: 1, diskWritesPerSecond: 5 });
  });
  afterAll(async () => {
    console.log(printRows(rows));
    await cluster?.lab.down();
  });

  const guest = () => cluster.lab.guest('vm1');

  it.each(cases)("of the %s at '%s': no plain text, the guard stands, the next migration works", async (_victim, _stage, victim, stage) => {
    const capture = await cluster.lab.startCapture('securing');
    let ended: Pick<Row, 'seen' | 'outcome'>;
    try {
      ended = await killAt(victim, stage);
      await nextMigrationWorks();
    } finally {
      await capture.stop();
    }
    const scan = await cluster.lab.scan(capture.file);
    rows.push({ victim: victim.name, stage: stage.name, ...ended, espPackets: scan.kinds['esp-in-udp'] ?? 0 });
    expect(plainTextIn(scan)).toEqual([]);
    expect(scan.markers[guest().marker]).toBe(0);
    expect(scan.kinds['esp-in-udp']).toBeGreaterThan(100);
  });

  it('and without the guard the same capture does see plain text (the control arm)', async () => {
    const { scan, markers } = await runControlArm(cluster.lab, 'vm1', AbortSignal.timeout(120_000));
    expect(markers).toBeGreaterThan(100);
    expect(plainTextIn(scan)).toEqual(expect.arrayContaining(['tcp/16514', 'tcp/49152']));
  });

  /** The stage that was seen right after the kill, and how the migration ended. */
  async function killAt(victim: Victim, stage: Stage): Promise<Pick<Row, 'seen' | 'outcome'>> {
    const journey = await nextJourney();
    const target = await aim(cluster, victim, journey);
    const signs = await Signs.of(cluster.lab, journey);
    const { request } = await cluster.client.migrate({ vm: 'vm1', toHostId: journey.to });
    await signs.until(stage);
    target.kill();
    const seen = await signs.newest();
    expect(await guardRules(), 'the guard of both hosts right after the kill').toEqual(guards);
    await target.untilBack();

    const { phase, failure } = await untilOver(cluster, request.migrationId);
    expect(await hostOf(cluster, 'vm1')).toBe(phase === 'done' ? journey.to : journey.from);
    await expectSound(guest());
    return { seen: seen?.name ?? 'nothing', outcome: failure === null ? 'moved' : `stayed: ${failure.code}` };
  }

  async function nextMigrationWorks(): Promise<void> {
    const { to } = await nextJourney();
    const { request } = await cluster.client.migrate({ vm: 'vm1', toHostId: to });
    expect(await untilOver(cluster, request.migrationId)).toMatchObject({ phase: 'done', failure: null });
    await expectSound(guest());
  }

  async function nextJourney(): Promise<Journey> {
    await allHostsUp(cluster);
    const from = await hostOf(cluster, 'vm1');
    await knownOn(cluster, 'vm1', from);
    return { from, to: otherHost(cluster, from) };
  }

  /** The kernel's rules of each host without their counts. */
  async function guardRules(): Promise<readonly string[]> {
    const listed = cluster.lab.hosts.map((host) => host.exec(['nft', '-s', 'list', 'table', 'inet', 'plimsoll']));
    return (await Promise.all(listed)).map(({ stdout, stderr }) => stdout || stderr);
  }
});

/** Disks, the controller, and the probes that are meant to be in plain text: those of the path, and those that a guard has to drop. */
const meant = new Set(['tcp/3260', 'tcp/7443', 'udp/49148', 'udp/49151']);

function plainTextIn({ kinds }: ScanResult): readonly string[] {
  return Object.keys(kinds).filter((kind) => /^(tcp|udp)\//.test(kind) && !meant.has(kind));
}

function printRows(rows: readonly Row[]): string {
  return table(
    [
      { title: 'KILLED', value: ({ victim }) => victim },
      { title: 'AT STAGE', value: ({ stage }) => stage },
      { title: 'SEEN', value: ({ seen }) => seen },
      { title: 'OUTCOME', value: ({ outcome }) => outcome },
      { title: 'ESP PACKETS', align: 'right', value: ({ espPackets }) => `${espPackets}` },
    ],
    rows,
    'nothing was killed',
  );
}
