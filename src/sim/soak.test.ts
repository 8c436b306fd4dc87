import { describe, expect, test } from 'vitest';
import { surroundings } from './examples.ts';
import { scenarioFrom, scheduleOf } from './schedule.ts';
import { momentOf } from './schedule-moment.ts';
import { playScenario, playSeed, sumOf, tallyOf } from './soak.ts';
import { shrink } from './soak-shrink.ts';

/** A seed takes about a second of CPU. */
const wallMsMax = 120_000;

describe('the soak', { timeout: wallMsMax }, () => {
  test('plays a seed to its end, and the same way again', async () => {
    const [played, again] = [await playSeed(10, { hosts: 3 }, surroundings), await playSeed(10, { hosts: 3 }, surroundings)];
    expect(played).toMatchObject({ seed: 10, hosts: 3, breaches: [] });
    expect(played.virtualSeconds).toBe(scheduleOf(10, { hosts: 3 }).scenario.cluster.runForSeconds);
    expect(again).toEqual(played);
  });

  test('tells what broke with the log before it, and does not reject', async () => {
    const { scenario } = scheduleOf(10, { hosts: 3, kinds: [] });
    const events = [{ at: 20, do: 'power', host: 'host1', becomes: 'off' } as const];
    const { breaches, log, virtualSeconds } = await playScenario(
      scenarioFrom(scenario.cluster, [{ kind: 'power-off', events }]),
      surroundings,
    );
    expect(breaches).toEqual([{ code: 'not-whole', message: expect.stringMatching(/^host1 has sent no sample/) as string }]);
    expect(virtualSeconds).toBe(scenario.cluster.runForSeconds);
    expect(log.length).toBeGreaterThan(10);
  });

  test('adds up by name', () => {
    expect(sumOf(tallyOf(['cut', 'kill', 'cut']), tallyOf(['cut', 'pause']))).toEqual({ cut: 3, kill: 1, pause: 1 });
  });
});

describe('the shrinker', { timeout: wallMsMax }, () => {
  /** Plain text gets out: a guard that only looks as if it dropped, on both ends, and an SA that is gone. */
  const leaks = ['host1', 'host2'].map((host) => ({ at: momentOf('web', 'transfer', 2), do: 'guard', host, becomes: 'leaky' }) as const);

  test('leaves what is needed to break the same, and no VM that is not named', async () => {
    const { scenario, seed } = scheduleOf(10, { hosts: 3, kinds: [] });
    const cluster = {
      ...scenario.cluster,
      mode: 'observe' as const,
      runForSeconds: 120,
      quietSeconds: 10,
      vms: {
        web: { host: 'host1', vcpus: 2, memoryGiB: 1, demandCores: 0.5 },
        mail: { host: 'host2', vcpus: 2, memoryGiB: 1, demandCores: 0.5 },
      },
    };
    const units = [
      { kind: 'demand' as const, events: [{ at: 5, do: 'demand' as const, vm: 'mail', cores: 1 }] },
      { kind: 'guard' as const, events: leaks },
      { kind: 'migrate' as const, events: [{ at: 10, do: 'migrate' as const, vm: 'web', to: 'host2' }] },
      { kind: 'renew' as const, events: [{ at: 12, do: 'renew' as const }] },
      {
        kind: 'charon-dies' as const,
        events: [{ at: momentOf('web', 'transfer', 3), do: 'kill' as const, what: 'charon' as const, host: 'host1' }],
      },
    ];
    const whole = { seed, units, scenario: scenarioFrom(cluster, units) };
    const [first] = (await playScenario(whole.scenario, surroundings)).breaches;
    expect(first?.code).toBe('plain-bytes');
    const shrunk = await shrink(whole, 'plain-bytes', surroundings);
    expect(shrunk.units.map(({ kind }) => kind)).toEqual(['guard', 'migrate', 'charon-dies']);
    expect(Object.keys(shrunk.scenario.cluster.vms)).toEqual(['web']);
    expect((await playScenario(shrunk.scenario, surroundings)).breaches[0]?.code).toBe('plain-bytes');
  });
});
