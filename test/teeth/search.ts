import { scenarioNames } from '#test/scenarios/load.ts';
import { scheduleNames } from './schedules.ts';

/** Every schedule that there is to look for a bug in: those here, the scenario folders, and so many generated ones. */
export async function schedulesToSearch(seeds: number): Promise<readonly string[]> {
  const folders = (await scenarioNames()).map((name) => `scenario:${name}`);
  return [...scheduleNames, ...folders, ...Array.from({ length: seeds }, (_, index) => `seed:${index + 1}`)];
}
