import { expect, test } from 'vitest';
import { isAlive, must, ownIdentity, run } from './process.ts';

test('an exit code is a value, both outputs are kept', async () => {
  expect(await run(['sh', '-c', 'echo out; echo err >&2; exit 3'])).toEqual({ code: 3, stdout: 'out\n', stderr: 'err\n' });
});

test('must shows what a failing command said', async () => {
  await expect(must(['sh', '-c', 'echo no such thing >&2; exit 1'])).rejects.toMatchObject({
    code: 'lab-command-failed',
    message: expect.stringContaining('no such thing') as string,
  });
});

test('a command that takes too long is killed', async () => {
  await expect(run(['sleep', '60'], { timeoutMs: 50 })).rejects.toMatchObject({ code: 'lab-timeout' });
});

test('a cancelled command is killed', async () => {
  await expect(run(['sleep', '60'], { signal: AbortSignal.timeout(50) })).rejects.toMatchObject({ code: 'lab-aborted' });
});

test('a program that is not there is named', async () => {
  await expect(run(['no-such-program'])).rejects.toMatchObject({ code: 'lab-prerequisite-missing' });
});

test('a reused pid is not taken for the old process', async () => {
  const own = await ownIdentity();
  expect(await isAlive(own)).toBe(true);
  expect(await isAlive({ ...own, startTicks: '1' })).toBe(false);
});
