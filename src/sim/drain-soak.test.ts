import { expect, test } from 'vitest';
import type { Rule } from '#core/model/rule.ts';
import { surroundings } from './examples.ts';
import { scenarioFrom, scheduleOf } from './schedule.ts';
import { playScenario } from './soak.ts';

const seeds = 12;

/** Some of the VMs are kept apart, some together, one at home. */
function rulesFor(vms: readonly string[], hosts: readonly string[]): readonly Rule[] {
  const rules: readonly Rule[] = [
    { kind: 'anti-affinity', name: 'apart', vms: vms.slice(0, 3) },
    { kind: 'affinity', name: 'together', vms: vms.slice(3, 5) },
    { kind: 'pin', name: 'home', vms: vms.slice(-1), hosts: hosts.slice(0, 2) },
  ];
  return rules.filter((rule) => rule.vms.length > 0);
}

test('whatever fails meanwhile, a drain and its restore break no invariant', { timeout: 120_000 }, async () => {
  let moves = 0;
  for (let seed = 1; seed <= seeds; seed += 1) {
    const { scenario, units } = scheduleOf(seed, { placement: false });
    const { hosts, vms, runForSeconds, quietSeconds = 100 } = scenario.cluster;
    const hostIds = Object.keys(hosts);
    const host = hostIds[seed % hostIds.length] ?? '';
    const lastSeconds = runForSeconds - quietSeconds;
    const drain = [
      { at: 25 + seed, do: 'drain', host },
      { at: Math.max(60, Math.round(lastSeconds * 0.6)), do: 'restore', host },
      { at: lastSeconds, do: 'drain-cancel', host },
    ] as const;
    const cluster = { ...scenario.cluster, rules: rulesFor(Object.keys(vms), hostIds) };
    const played = await playScenario(scenarioFrom(cluster, [...units, { kind: 'drain', events: drain }]), surroundings);
    expect([seed, played.breaches]).toEqual([seed, []]);
    moves += played.log.filter((line) => line.includes('drain moves a VM')).length;
  }
  expect(moves).toBeGreaterThan(seeds / 2);
});
