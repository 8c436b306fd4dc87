/**
 * A folder here is a test: README.md says what it is about, cluster.yaml and events.yaml are the cluster and
 * what happens to it, expected.log is the whole decision log, byte for byte. `UPDATE=1` writes it anew.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { SimCluster } from '#sim/cluster.ts';
import type { Scenario } from '#sim/scenario.ts';
import { describe, expect, test } from 'vitest';
import { loadScenario, scenarioFile, scenarioNames } from './load.ts';
import { surroundings } from './surroundings.ts';

/** The longest story takes a second of CPU twice; a busy machine may take its time over it. */
const wallMsMax = 60_000;
const updating = process.env['UPDATE'] === '1';

async function logOf(scenario: Scenario): Promise<string> {
  const cluster = new SimCluster(scenario, surroundings);
  await cluster.run();
  return cluster.log.text;
}

describe.each(await scenarioNames())('scenario %s', (name) => {
  test('says in its README what it is about', async () => {
    expect(await readFile(scenarioFile(name, 'README.md'), 'utf8')).toMatch(/^# .+\n\n\S/);
  });

  test('goes as its expected.log says, keeps every invariant, and goes the same way again', { timeout: wallMsMax }, async () => {
    const log = await logOf(await loadScenario(name));
    expect(await logOf(await loadScenario(name)), 'a second run from the same seed').toBe(log);
    if (updating) await writeFile(scenarioFile(name, 'expected.log'), log);
    expect(log, 'the decision log; UPDATE=1 accepts it as it is').toBe(await readFile(scenarioFile(name, 'expected.log'), 'utf8'));
  });
});

test('the story of the demo, more than an hour long, takes less than a second of CPU', { timeout: wallMsMax }, async () => {
  const scenario = await loadScenario('demo-story');
  await logOf(scenario);
  const before = process.cpuUsage();
  await logOf(scenario);
  const { user, system } = process.cpuUsage(before);
  expect(scenario.cluster.runForSeconds).toBeGreaterThanOrEqual(3600);
  expect((user + system) / 1000, 'milliseconds of CPU').toBeLessThan(1000);
});
