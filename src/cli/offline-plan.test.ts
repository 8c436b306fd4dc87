import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type OfflineOptions, planOffline } from './offline-plan.ts';
import { printOfflinePlan } from './offline-plan-printer.ts';

const data = `g|u-1|preferred||

a|1000|0|600|0|0|10|M|u-1|1||N|0|1|1.0
b|1000|0|1000|0|0|10|N|u-1|1||N|0|1|1.0

i1|100|0|1|running|Y|a||ext||1|-|N
i2|100|0|1|running|Y|a||ext||1|-|N
i3|100|0|1|running|Y|a||ext||1|-|N
i4|100|0|1|running|Y|a||ext||1|-|N

`;
const util = ['i1', 'i2', 'i3', 'i4'].map((name) => `${name} 0.24 0.1 0.01 0.01\n`).join('');

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plimsoll-offline-'));
  await writeFile(join(folder, 'c.data'), data);
  await writeFile(join(folder, 'c.util'), util);
});
afterEach(() => rm(folder, { recursive: true }));

const options = (more: Partial<OfflineOptions> = {}): OfflineOptions => ({
  textData: join(folder, 'c.data'),
  force: false,
  objective: 'hbal',
  effort: 10,
  output: 'table',
  ...more,
});

describe('a plan for a cluster in a file', () => {
  it("by hbal's score prints numbered steps and the sums, and saves what hbal can judge", async () => {
    const saveCluster = join(folder, 'after.data');
    const plan = await planOffline(options({ saveCluster }));
    const text = printOfflinePlan(plan);
    expect(text).toMatch(/^ {4}1\. i\d a => b {2}0\.\d{8}$/m);
    expect(text).toMatch(/^2 moves, score \d\.\d{8} -> 0\.00000000, [\d.]+ CPU seconds$/m);
    expect(await readFile(saveCluster, 'utf8')).toContain('b|1000|0|800|');
    await expect(planOffline(options({ saveCluster }))).rejects.toMatchObject({ code: 'file-exists' });
  });

  it('by the policy says why, and leaves a cluster below its lines alone', async () => {
    const [first, ...others] = (await planOffline(options({ objective: 'plimsoll' }))).steps;
    expect(first).toMatchObject({ from: 'a', to: 'b', reason: expect.stringContaining('core-seconds of shortage') });
    expect(others).toEqual([]);
    const { steps: downToStopLine } = await planOffline(options({ objective: 'plimsoll', strategy: 'lines' }));
    expect(downToStopLine).toMatchObject([
      { from: 'a', to: 'b', reason: expect.stringContaining('over its start line') },
      { from: 'a', to: 'b' },
    ]);
    await writeFile(join(folder, 'c.util'), util.replaceAll('0.24', '0.1'));
    expect(await planOffline(options({ objective: 'plimsoll' }))).toMatchObject({ steps: [], scoreBefore: 30, scoreAfter: 30 });
  });

  it('makes no more moves than asked for', async () => {
    expect((await planOffline(options({ maxMoves: 1 }))).steps).toHaveLength(1);
    expect((await planOffline(options({ maxMoves: 1, objective: 'plimsoll' }))).steps).toHaveLength(1);
  });

  it('by another strategy or direction than the file has', async () => {
    const pulled = await planOffline(options({ objective: 'plimsoll', direction: 'pull' }));
    expect(pulled).toMatchObject({
      strategy: 'balance',
      direction: 'pull',
      steps: Array.from({ length: 2 }, () => ({ from: 'a', to: 'b', reason: expect.stringContaining('below 30 %') })),
    });
    expect(printOfflinePlan(pulled)).toContain('by the policy (balance, pull)');
    await writeFile(join(folder, 'c.util'), util.replaceAll('0.24', '0.1'));
    const packed = await planOffline(options({ objective: 'plimsoll', strategy: 'pack' }));
    expect(packed).toMatchObject({ strategy: 'pack', direction: 'push', steps: [] });
    expect(packed.summary).toContain('none can be emptied');
    const atOnce = await planOffline(options({ objective: 'plimsoll', strategy: 'threshold' }));
    expect(atOnce).toMatchObject({ strategy: 'threshold', steps: [] });
  });

  it('refuses what contradicts itself', async () => {
    const refused = (more: Partial<OfflineOptions>) =>
      expect(planOffline(options({ objective: 'plimsoll', ...more }))).rejects.toMatchObject({ code: 'usage' });
    await refused({ strategy: 'pack', direction: 'both' });
    await refused({ objective: 'hbal', strategy: 'pack' });
    await refused({ objective: 'hbal', direction: 'pull' });
  });

  it('says what it had to assume, and what it cannot do', async () => {
    await rm(join(folder, 'c.util'));
    expect((await planOffline(options())).lost.join()).toContain('no utilisation was given');
    const saving = planOffline(options({ objective: 'plimsoll', saveCluster: join(folder, 'x') }));
    await expect(saving).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining('--objective hbal') });
  });
});
