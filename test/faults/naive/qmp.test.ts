import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { QmpConnection } from './qmp.ts';

/** What QEMU says to each command; `null`: nothing, `end`: it ends. */
type Script = (command: string) => Record<string, unknown> | null | 'end';

let folder = '';
const ends: (() => void)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'qmp-'));
});

afterEach(async () => {
  for (const end of ends.splice(0)) end();
  await rm(folder, { recursive: true, force: true });
});

async function qemu(script: Script): Promise<{ connection: QmpConnection; socket: () => Socket | undefined }> {
  let client: Socket | undefined;
  const server = createServer((socket) => {
    client = socket;
    socket.on('error', () => undefined);
    socket.write('{"QMP": {"version": {}, "capabilities": []}}\r\n');
    createInterface({ input: socket }).on('line', (line) => {
      const { execute, 'exec-oob': outOfBand, id } = JSON.parse(line) as { execute?: string; 'exec-oob'?: string; id: number };
      const answer = execute === 'qmp_capabilities' ? { return: {} } : script(execute ?? `${outOfBand} out of band`);
      if (answer === 'end') socket.destroy();
      else if (answer !== null) socket.write(`${JSON.stringify({ ...answer, id })}\r\n`);
    });
  });
  const path = join(folder, 'qmp');
  const { promise, resolve } = Promise.withResolvers<void>();
  server.listen(path, resolve);
  await promise;
  const connection = await QmpConnection.open(path);
  ends.push(() => {
    connection.close();
    server.close();
  });
  return { connection, socket: () => client };
}

test('an answer is told from the events that come before it', async () => {
  const { connection, socket } = await qemu((command) => {
    socket()?.write('{"event": "STOP", "timestamp": {}}\r\n{"event": "MIGRATION", "data": {"status": "completed"}}\r\n');
    return { return: { command } };
  });
  const heard: unknown[] = [];
  connection.listen((event) => heard.push(event));
  expect(await connection.execute('query-status')).toEqual({ command: 'query-status' });
  expect(heard).toEqual([
    { name: 'STOP', status: null },
    { name: 'MIGRATION', status: 'completed' },
  ]);
});

test('what cannot wait goes out of band', async () => {
  const { connection } = await qemu((command) => ({ return: command }));
  expect(await connection.executeOutOfBand('yank')).toBe('yank out of band');
});

test('a refusal names the command and the reason', async () => {
  const { connection } = await qemu(() => ({ error: { class: 'GenericError', desc: 'not now' } }));
  await expect(connection.execute('migrate')).rejects.toThrow('migrate: not now');
});

test('a QEMU that ends leaves nobody waiting', async () => {
  const { connection } = await qemu(() => 'end');
  await expect(connection.execute('quit')).rejects.toThrow('quit: QEMU has ended');
  await connection.closed;
  await expect(connection.execute('cont')).rejects.toThrow('cont: QEMU has ended');
});

test('where nobody listens there is no connection', async () => {
  await expect(QmpConnection.open(join(folder, 'nobody'))).rejects.toThrow(/ENOENT/);
});
