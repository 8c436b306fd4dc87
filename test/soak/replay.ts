/** One seed: played with its whole log, made smaller, written as a scenario. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Scenario } from '#sim/scenario.ts';
import { type Schedule, scheduleOf } from '#sim/schedule.ts';
import { type Outcome, playScenario } from '#sim/soak.ts';
import { shrink } from '#sim/soak-shrink.ts';
import { surroundings } from '#test/scenarios/surroundings.ts';
import { stringify } from 'yaml';
import { printBroken } from '#cli/sim-soak.ts';
import { replayCommandOf, scheduleOptionsOf, type SoakOptions } from './options.ts';

const tailLines = 40;
const lineWidth = 200;

/** Resolves with whether all invariants held. */
export async function replay(
  seed: number,
  { shrink: makeSmaller, saveDir, ...wish }: Pick<SoakOptions, 'hosts' | 'placement' | 'shrink' | 'saveDir'>,
  print: (line: string) => void,
): Promise<boolean> {
  const schedule = scheduleOf(seed, scheduleOptionsOf(wish));
  const outcome = await playScenario(schedule.scenario, surroundings);
  const [first] = outcome.breaches;
  const shrunk = makeSmaller && first !== undefined ? await smaller(schedule, first.code, print) : null;
  const told = shrunk?.outcome ?? outcome;
  for (const line of shrunk === null ? told.log : told.log.slice(-tailLines)) print(line);
  if (told.breaches.length > 0) print(printBroken({ seed, breaches: told.breaches }, replayCommandOf(wish)));
  else print(`seed ${seed}: no invariant is broken`);
  if (saveDir !== null) await save(saveDir, shrunk?.scenario ?? schedule.scenario, print);
  return told.breaches.length === 0;
}

async function smaller(
  schedule: Schedule,
  code: Parameters<typeof shrink>[1],
  print: (line: string) => void,
): Promise<{ readonly scenario: Scenario; readonly outcome: Outcome }> {
  const { scenario, units, runs } = await shrink(schedule, code, surroundings, print);
  print(`${units.length} of ${schedule.units.length} events and faults are left after ${runs} runs:`);
  for (const event of scenario.events) print(`  ${JSON.stringify(event)}`);
  return { scenario, outcome: await playScenario(scenario, surroundings) };
}

/** As folders of test/scenarios have them; a README and the expected log are for whoever knows what it shows. */
async function save(dir: string, { cluster, events }: Scenario, print: (line: string) => void): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'cluster.yaml'), stringify(cluster, { lineWidth }));
  await writeFile(
    join(dir, 'events.yaml'),
    events.map((event) => `- ${stringify(event, { lineWidth, collectionStyle: 'flow' }).trim()}\n`).join(''),
  );
  print(`written to ${dir}`);
}
