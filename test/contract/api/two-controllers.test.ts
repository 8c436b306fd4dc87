/** Two real controllers on one database: the second takes it over, the first writes nothing more and ends. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ControllerClient } from '#cli/client.ts';
import { runController } from '#controller/main.ts';
import { until } from '#test/support/until.ts';

let folder = '';
let stop: AbortController;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-two-'));
  stop = new AbortController();
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function start(name: string): Promise<{ readonly client: ControllerClient; readonly ended: Promise<void> }> {
  // Nothing is written by itself meanwhile: the first one hears of the second when it is asked for something.
  const path = join(folder, `${name}.yaml`);
  const socket = join(folder, `${name}.sock`);
  writeFileSync(path, `dataDir: ${folder}/data\nlisten: { address: 127.0.0.1, port: 0 }\nsocket: ${socket}\nplanIntervalMs: 3600000\n`);
  const ended = runController(path, stop.signal);
  const client = new ControllerClient(socket, stop.signal);
  await Promise.race([ended, until(`${name} to answer`, async () => (await client.status()).version !== '')]);
  return { client, ended };
}

test('the one that was replaced says so to its operator and ends; the one that came goes on', async () => {
  const first = await start('first');
  await first.client.setMode('approve');
  const second = await start('second');
  const goneWith = expect(first.ended).rejects.toMatchObject({ code: 'controller-replaced' });
  await expect(first.client.setMode('automatic')).rejects.toMatchObject({ code: 'controller-replaced' });
  await goneWith;
  await expect(first.client.status()).rejects.toMatchObject({ code: 'controller-unreachable' });
  expect(await second.client.status()).toMatchObject({ mode: 'approve', controllerEpoch: 2 });
  expect(await second.client.setMode('observe')).toMatchObject({ mode: 'observe' });
  stop.abort();
  await second.ended;
});
