/** Each peer's rule on a cluster of three lines. */
import { expect, test } from 'vitest';
import { exampleView, firstSteps } from '#bench/traces/examples.ts';
import { peers } from '#bench/traces/roster.ts';
import { cloudStack } from './cloudstack.ts';
import { incus } from './incus.ts';
import { none } from './none.ts';
import { proxLb } from './proxlb.ts';
import { imbalanceOf, proxmox } from './proxmox.ts';
import { Reference } from './reference.ts';
import { thresholdRule } from './threshold-rule.ts';
import { stabilization } from './watcher-stabilization.ts';
import { workloadBalance } from './watcher-workload-balance.ts';
import { xenOrchestra } from './xen-orchestra.ts';

const calm = ['a: x=5/8 y=3/8', 'b: z=8/16/8', 'c: w=4/8 v=4/8'];

test('none moves nothing, however bad it is', () => {
  expect(firstSteps(none, ['a: x=9 y=7', 'b:', 'c:'])).toBeNull();
});

test('the reference: of the VMs whose leaving ends a shortage the one that is copied soonest, to the host with most room, and not back within the hour', () => {
  const lines = ['a: x=8/8 y=6/2 z=4/4', 'b: w=2', 'c: v=4', 'd: u=15'];
  expect(firstSteps(new Reference(), lines)).toEqual({ atSeconds: 1, steps: ['y: a -> b'] });
  const balancer = new Reference();
  const ended = [{ vmId: 'y', fromHostId: 'b', toHostId: 'a', startedAtSeconds: 0, endedAtSeconds: 9, outcome: 'moved' as const }];
  expect(balancer.plan(exampleView(lines, { atSeconds: 10, ended })).map(({ toHostId }) => toHostId)).toEqual(['c']);
});

test('the reference: VMs that do not end it alone go by their CPU for each byte, and a host that is not short is left alone', () => {
  expect(firstSteps(new Reference(), ['a: x=8/8 y=8/4 z=8/16', 'b: w=2', 'c: v=4'])?.steps).toEqual(['y: a -> b']);
  expect(firstSteps(new Reference(), ['a: x=8 y=8', 'b:', 'c:'])).toBeNull();
});

test.each(peers.flatMap(({ entrants }) => entrants))('$name leaves an even cluster alone', (entrant) => {
  expect(firstSteps(entrant.create(), calm)).toBeNull();
});

test('xen orchestra: of VMs within a factor of four of each other the one with most memory goes to the idlest host, until the start limit is undercut', () => {
  const lines = ['a: x=8/4 y=4/8 z=2/4', 'b: w=2', 'c: v=4'];
  expect(firstSteps(xenOrchestra.create(xenOrchestra.defaults), lines)).toEqual({ atSeconds: 60, steps: ['y: a -> b'] });
});

test('xen orchestra: a VM rests for half an hour', () => {
  const balancer = xenOrchestra.create(xenOrchestra.defaults);
  const ended = [{ vmId: 'y', fromHostId: 'b', toHostId: 'a', startedAtSeconds: 0, endedAtSeconds: 60, outcome: 'moved' as const }];
  const lines = ['a: x=9/4 y=6/8', 'b:', 'c:'];
  const steps = balancer.plan(exampleView(lines, { atSeconds: 120, ended }));
  expect(steps.map(({ vmId }) => vmId)).toEqual(['x']);
});

test('xen orchestra: the preventive mode relieves a host that is far above the average', () => {
  const balancer = xenOrchestra.create({ ...xenOrchestra.defaults, mode: 'preventive' });
  expect(firstSteps(balancer, ['a: x=6/4 y=4/8', 'b: w=2', 'c: v=3'])?.steps).toEqual(['y: a -> b']);
});

test('proxmox: after three rounds the one migration that leaves the lowest imbalance', () => {
  const lines = ['a: x=6 y=3', 'b: w=1', 'c: z=5'];
  expect(firstSteps(proxmox.create(proxmox.defaults), lines)).toEqual({ atSeconds: 30, steps: ['y: a -> b'] });
});

test('proxmox: the imbalance is 0 when all hosts are alike and 1 when one has everything', () => {
  expect(imbalanceOf([0.4, 0.4, 0.4])).toBeCloseTo(0);
  expect(imbalanceOf([0, 0, 0.7, 0])).toBeCloseTo(1);
  expect(imbalanceOf([0, 0])).toBe(0);
});

test('proxlb: smallest VMs first from the fullest host to the emptiest, and one too many', () => {
  const lines = ['a: x=1/8 y=1/16 z=1/32', 'b: w=1/8', 'c: v=1/12'];
  expect(firstSteps(proxLb.create(proxLb.defaults), lines)?.steps).toEqual(['x: a -> b', 'y: a -> c', 'z: a -> b']);
});

test('incus: the first VM whose configured size keeps the idlest server below the middle', () => {
  const lines = ['a: big=10/4/8 small=4/4/4', 'b: w=8', 'c:'];
  expect(firstSteps(incus.create(incus.defaults), lines)).toEqual({ atSeconds: 900, steps: ['small: a -> c'] });
});

test('watcher balance: the largest VM that does not exceed the excess over the average, to the lowest host', () => {
  const lines = ['a: x=6 y=4 z=3', 'b: w=5', 'c: v=4'];
  const balancer = workloadBalance.create({ thresholdPercent: 70, periodSeconds: 300 });
  expect(firstSteps(balancer, lines)).toEqual({ atSeconds: 300, steps: ['y: a -> c'] });
});

test('watcher balance: above its default threshold of 25 % on all hosts there is no target', () => {
  expect(firstSteps(workloadBalance.create(workloadBalance.defaults), ['a: x=10 y=4', 'b: w=5', 'c: v=4.5'])).toBeNull();
});

test('watcher stabilization: the case with the lowest deviation, and no more once it is below the threshold', () => {
  const balancer = stabilization.create({ ...stabilization.defaults, retryCount: null });
  expect(firstSteps(balancer, ['a: x=6 y=4 z=2', 'b: w=4', 'c: v=5'])).toEqual({ atSeconds: 600, steps: ['y: a -> b'] });
});

test('cloudstack: allocations alone count, the migration that evens them most', () => {
  const balancer = cloudStack.create({ ...cloudStack.defaults, metric: 'cpu', imbalance: 0.5 });
  expect(firstSteps(balancer, ['a: x=0/4/6 y=0/4/4', 'b: w=9/4/2', 'c: v=9/4/2'])?.steps).toEqual(['y: a -> b']);
});

test('threshold rule: least memory first, to the least loaded host, until the host is below', () => {
  const lines = ['a: x=8/16 y=4/4 z=3/8', 'b: w=4', 'c: v=2'];
  expect(firstSteps(thresholdRule.create(thresholdRule.defaults), lines)).toEqual({ atSeconds: 300, steps: ['y: a -> c'] });
});
