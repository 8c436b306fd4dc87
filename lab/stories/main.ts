/** `npm run stories`: three overloads in a real cluster on this machine, told as they happen. */
import { LabError } from '#lab/api.ts';
import { argumentsOf, helpText } from './arguments.ts';
import { runStory } from './run-story.ts';
import { stories } from './stories.ts';
import { StoryLog } from './story-log.ts';

async function main(args: readonly string[]): Promise<number> {
  const wanted = argumentsOf(args, stories);
  if (wanted.help) {
    process.stdout.write(`${helpText(stories)}\n`);
    return 0;
  }
  const missing = process.env['PLIMSOLL_LAB_MISSING'];
  if (missing !== undefined) throw new LabError('lab-prerequisite-missing', `the stories need a lab: ${missing}`);
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => stop.abort(new Error('interrupted')));
  const log = new StoryLog((text) => process.stdout.write(text), process.stdout.columns);
  let good = true;
  for (const story of wanted.stories) {
    const { checks } = await runStory(story, log, { signal: stop.signal, keep: wanted.keep });
    good &&= checks.every(({ holds }) => holds);
  }
  return good ? 0 : 1;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`stories: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
