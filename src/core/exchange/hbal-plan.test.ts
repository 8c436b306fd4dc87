import { describe, expect, it } from 'vitest';
import { type HbalPlan, planHbal } from './hbal-plan.ts';
import { readHbalCluster, readHbalUtilisation } from './hbal-reader.ts';

/** Two nodes of 1000 MiB and 10 CPUs, four instances of 100 MiB on the first; hbal 3.0.2 prints the scores that stand below. */
const data = `g|u-1|preferred||

a|1000|0|600|0|0|10|M|u-1|1||N|0|1|1.0
b|1000|0|1000|0|0|10|N|u-1|1||N|0|1|1.0

i1|100|0|1|running|Y|a||ext||1|-|N
i2|100|0|1|running|Y|a||ext||1|-|N
i3|100|0|1|running|Y|a||ext||1|-|N
i4|100|0|1|running|Y|a||ext||1|-|N

`;
const util = `i1 0.1 0.1 0.01 0.01
i2 0.1 0.1 0.01 0.01
i3 0.1 0.1 0.01 0.01
i4 0.1 0.1 0.01 0.01
`;

function planned(text: string, movesMax: number | null = null): HbalPlan {
  const cluster = readHbalCluster(text);
  const uses = readHbalUtilisation(util);
  if (!cluster.ok || !uses.ok) throw new Error('the example cannot be read');
  return planHbal(cluster.cluster, uses.uses, { movesMax, effort: 10 });
}

describe("a plan by hbal's score", () => {
  it('evens a cluster out, and moves what is free with it', () => {
    const plan = planned(data);
    expect(plan.scoreBefore).toBeCloseTo(0.84, 8);
    expect(plan.scoreAfter).toBeCloseTo(0, 8);
    expect(plan.steps).toHaveLength(2);
    expect(plan.cluster.nodes.map(({ freeMemoryMib }) => freeMemoryMib)).toEqual([800, 800]);
    expect(plan.cluster.instances.filter(({ primary }) => primary === 'b')).toHaveLength(2);
  });

  it('has nothing to do once it was applied', () => {
    const { cluster } = planned(data);
    const uses = readHbalUtilisation(util);
    if (!uses.ok) throw new Error('the example cannot be read');
    expect(planHbal(cluster, uses.uses, { movesMax: null, effort: 10 }).steps).toEqual([]);
  });

  it('makes no more moves than asked for', () => {
    expect(planned(data, 1).steps).toHaveLength(1);
  });

  it.each([
    ['must not be moved', data.replaceAll('running|Y|', 'running|N|')],
    ['have their disks on their host', data.replaceAll('|ext|', '|plain|')],
    ['find no node with memory to spare', data.replace('b|1000|0|1000|', 'b|1000|900|100|')],
    ['would get too many virtual CPUs for each of a CPU', data.replace('b|1000|0|1000|0|0|10|', 'b|1000|0|1000|0|0|0.2|')],
    ['find no node that is online', data.replace('10|N|u-1', '10|Y|u-1')],
  ])('leaves instances alone that %s', (_why, text) => {
    expect(planned(text).steps).toEqual([]);
  });

  it('takes instances from a node that is offline before all', () => {
    const plan = planned(data.replace('10|M|u-1', '10|Y|u-1').replace('10|N|u-1', '10|M|u-1'));
    expect(plan.scoreBefore).toBeCloseTo(80, 6);
    expect(plan.scoreAfter).toBeCloseTo(0, 6);
    expect(plan.steps).toHaveLength(4);
  });
});
