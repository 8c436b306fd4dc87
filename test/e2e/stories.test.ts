/** The stories of `npm run stories`: overloads by guests that burn CPU, each in a lab of its own, and every claim that they make of them. */
import { afterAll, describe, expect, it } from 'vitest';
import { removeLab } from '#lab/api.ts';
import { runStory } from '#lab/stories/run-story.ts';
import { stories } from '#lab/stories/stories.ts';
import { StoryLog } from '#lab/stories/story-log.ts';

/** Two to four minutes on a calm machine; what they wait for comes later on a busy one. */
const storyMsMax = 1_200_000;

describe('stories of real overload', () => {
  const stop = new AbortController();
  afterAll(async () => {
    stop.abort();
    for (const { lab } of stories) if (lab.name !== undefined) await removeLab(lab.name);
  });

  it.each(stories.map((story) => ({ name: story.name, story })))(
    '$name: all that it claims holds',
    async ({ story }) => {
      const told: string[] = [];
      const log = new StoryLog((text) => told.push(text), undefined);
      const { checks } = await runStory(story, log, { signal: stop.signal, keep: false }).catch((error: unknown) => {
        throw new Error(`${told.join('')}\nthe story broke off`, { cause: error });
      });
      expect(checks.length).toBeGreaterThan(5);
      expect(
        checks.filter(({ holds }) => !holds),
        told.join(''),
      ).toEqual([]);
    },
    storyMsMax,
  );
});
