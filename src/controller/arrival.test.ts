import { describe, expect, it } from 'vitest';
import type { Arrival } from '#core/model/measures.ts';
import { type ArrivalFacts, judgeArrival } from './arrival.ts';
import { definition, runningVm } from './fakes.ts';

const disk = { target: 'vda', kind: 'file', source: '/nfs/web1.qcow2', readOnly: false, shareable: false, cache: 'none' };
const lease = { lockspace: 'locks', key: 'web1', path: '/srv/locks' };
const nic = { kind: 'bridge', source: 'br0', mac: '52:54:00:00:00:01' };
const before = definition({ machine: 'pc-q35-7.2', interfaces: [nic], disks: [disk], leases: [lease] });

/** All was looked at, and all is well. */
const fine: ArrivalFacts = {
  before,
  after: before,
  source: { vm: null, image: null },
  destination: runningVm(),
  placeAtSource: 'elsewhere',
  answers: true,
  heldBySource: [false],
  heldByDestination: [true],
};
const good: Arrival = { definitionRight: true, sourceClean: true, announced: true, answers: true, lockedOnce: true, troubles: [] };

const differs = (what: string) => ({ definitionRight: false, troubles: [`the destination's definition differs in ${what}`] });
const soiled = { sourceClean: false, troubles: ['the source still has something of the VM'] };
const unlocked = {
  lockedOnce: false,
  troubles: ["the destination does not hold the VM's storage lock: suspend and resume the VM there"],
};
const lockedThere = { lockedOnce: false, troubles: ["the source still holds the VM's storage lock: look what has its disk open there"] };
const unheard = { announced: false, troubles: ["the source's network still looks for the VM on the source"] };

const table: readonly (readonly [story: string, changes: Partial<ArrivalFacts>, expected: Partial<Arrival>])[] = [
  ['all is well', {}, {}],
  ['the machine type changed', { after: { ...before, machine: 'pc-q35-8.0' } }, differs('the machine type')],
  ['a virtual CPU is missing', { after: { ...before, vcpus: 2 } }, differs('the number of virtual CPUs')],
  [
    'the interface is on another bridge',
    { after: { ...before, interfaces: [{ ...nic, source: 'br1' }] } },
    differs('the network interfaces'),
  ],
  ['a disk is missing', { after: { ...before, disks: [] } }, differs('the disks')],
  ['the lease is missing', { after: { ...before, leases: [] } }, differs('the leases')],
  [
    'the definition is not kept',
    { destination: runningVm({ persistent: false }) },
    { definitionRight: false, troubles: ['the definition is not kept on the destination'] },
  ],
  ['it was never kept', { before: { ...before, persistent: false }, destination: runningVm({ persistent: false }) }, {}],
  ['its definition before is not known', { before: null }, { definitionRight: null }],
  ['its definition there cannot be read', { after: null }, { definitionRight: null }],
  ['the source has its definition, shut off', { source: { vm: runningVm({ state: 'shut-off' }), image: null } }, {}],
  ['the source has a halted copy', { source: { vm: runningVm({ state: 'paused' }), image: null } }, soiled],
  ['the source has an image', { source: { vm: null, image: 'given' } }, soiled],
  ['the source does not answer', { source: null }, { sourceClean: null }],
  ['the network has not heard of it', { placeAtSource: 'local' }, unheard],
  ['nobody knows what the network has heard', { placeAtSource: null }, { announced: null }],
  ['it does not answer', { answers: false }, { answers: false, troubles: ['the VM does not answer on its network'] }],
  ['nobody asks it', { answers: null }, { answers: null }],
  ['the destination holds no lock', { heldByDestination: [false] }, unlocked],
  ['one of two locks is missing there', { heldBySource: [false, false], heldByDestination: [true, false] }, unlocked],
  ['the source holds a lock too, as where the lock files are not shared', { heldBySource: [true] }, lockedThere],
  ['only the source can tell, and holds a lock', { heldBySource: [true], heldByDestination: null }, lockedThere],
  ['the destination does not tell of its locks', { heldByDestination: null }, { lockedOnce: null }],
  ['the destination cannot tell of one of its locks', { heldByDestination: [null] }, { lockedOnce: null }],
  ['the source does not tell of its locks', { heldBySource: null }, { lockedOnce: null }],
  ['no lease stands before its disks', { heldBySource: [], heldByDestination: [] }, { lockedOnce: null }],
];

describe('how a VM arrived', () => {
  it.each(table)('%s', (_story, changes, expected) => {
    expect(judgeArrival({ ...fine, ...changes })).toEqual({ ...good, ...expected });
  });

  it('has all of its troubles told', () => {
    const facts = { ...fine, after: { ...before, vcpus: 2 }, source: { vm: null, image: 'kept' }, answers: false } as const;
    expect(judgeArrival({ ...facts, placeAtSource: 'local' }).troubles).toHaveLength(4);
  });

  it('is told by nothing where nothing could be looked at', () => {
    const unseen = { before: null, after: null, source: null, destination: null, placeAtSource: null, answers: null };
    const nothing = { ...unseen, heldBySource: null, heldByDestination: null };
    const none = { definitionRight: null, sourceClean: null, announced: null, answers: null };
    expect(judgeArrival(nothing)).toEqual({ ...none, lockedOnce: null, troubles: [] });
  });
});
