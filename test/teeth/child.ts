/**
 * Schedules in a process of its own: `node child.ts BUG|- PROVOCATION|- SCHEDULE...` prints one line of JSON for each (`Played`), and with
 * a bug ends at the first that something breaks in.
 */
import { bugNamed } from './bugs.ts';
import { plant } from './plant.ts';
import { provocations } from './provocations.ts';

const [bug, provocation, ...schedules] = process.argv.slice(2);
const planted = [
  ...(bug === undefined || bug === '-' ? [] : [bugNamed(bug)]),
  ...Object.values(provocations).filter(({ name }) => name === provocation),
].map((patch) => plant(patch));
// Only now: it imports the product.
const { play } = await import('./play.ts');
for (const schedule of schedules) {
  const played = await play(schedule);
  const idle = planted.find(({ isLoaded }) => !isLoaded);
  if (idle !== undefined) throw new Error(`nothing has loaded the file that ${idle.name} changes: it was not played`);
  process.stdout.write(`${JSON.stringify(played)}\n`);
  if (bug !== '-' && played.breaches.length > 0) break;
}
