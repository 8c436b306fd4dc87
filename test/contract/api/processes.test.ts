import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CliOptions, type CliRun, runNode } from './run-cli.ts';

const require = createRequire(import.meta.url);
let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'plimsoll-processes-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs `body` in a process of its own with the CLI's modules at hand. */
function run(body: string, options: CliOptions = {}): Promise<CliRun> {
  const url = (name: string) => JSON.stringify(pathToFileURL(require.resolve(name)).href);
  const script = join(folder, 'outer.ts');
  writeFileSync(
    script,
    `import { runChild } from ${url('#cli/processes.ts')};\nimport { interruptSignal } from ${url('#cli/interrupt.ts')};\n${body}\n`,
  );
  return runNode([script], options);
}

function child(body: string): string {
  const script = join(folder, 'child.ts');
  writeFileSync(script, body);
  return JSON.stringify(script);
}

test('a child process gets its arguments as they are, and its exit code is kept', async () => {
  const script = child('console.log(JSON.stringify(process.argv.slice(2))); process.exit(7);');
  expect(await run(`process.exit(await runChild(${script}, ['up', '--name', 'a b', '-h']));`)).toEqual({
    code: 7,
    out: '["up","--name","a b","-h"]\n',
    err: '',
  });
});

test.each(['SIGINT', 'SIGTERM'] as const)('%s is passed on, and the child decides when it is over', async (name) => {
  const script = child(
    `process.on('${name}', () => { console.log('cleaning up'); process.exit(3); }); setInterval(() => {}, 1000); console.log('ready');`,
  );
  let sent = false;
  const result = await run(`process.exit(await runChild(${script}, []));`, {
    onOutput: (output, signal) => {
      if (sent || !output.includes('ready')) return;
      sent = true;
      signal(name);
    },
  });
  expect(result).toMatchObject({ code: 3, out: 'ready\ncleaning up\n' });
});

test('a child that died of a signal gives the exit code a shell gives', async () => {
  expect(await run(`process.exit(await runChild(${child("process.kill(process.pid, 'SIGKILL');")}, []));`)).toMatchObject({ code: 137 });
});

test('the first signal asks a process to stop, the second ends it at once', async () => {
  const body =
    "interruptSignal().addEventListener('abort', () => console.log('stopping')); setInterval(() => {}, 1000); console.log('ready');";
  let sent = 0;
  const result = await run(body, {
    onOutput: (output, signal) => {
      const awaited = sent === 0 ? 'ready' : 'stopping';
      if (sent > 1 || !output.includes(awaited)) return;
      sent += 1;
      signal('SIGINT');
    },
  });
  expect(result).toEqual({ code: 130, out: 'ready\nstopping\n', err: '' });
});
