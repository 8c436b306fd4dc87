import type { PlantedBug } from './bug.ts';
import { bugsOfCore } from './bugs-of-core.ts';
import { bugsOfPlacement } from './bugs-of-placement.ts';
import { bugsOfProcesses } from './bugs-of-processes.ts';

/** All of them. */
export const bugs: readonly PlantedBug[] = [...bugsOfCore, ...bugsOfProcesses, ...bugsOfPlacement];

export function bugNamed(name: string): PlantedBug {
  const found = bugs.find((bug) => bug.name === name);
  if (found === undefined) throw new RangeError(`there is no planted bug ${name}: ${bugs.map((bug) => bug.name).join(', ')}`);
  return found;
}
