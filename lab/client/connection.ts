import { createConnection } from 'node:net';
import { createInterface } from 'node:readline';
import { LabError } from '#lab/errors.ts';
import type { ClientCalls, ClientOperation, ClientReply } from './protocol.ts';

const ANSWER_MS_MAX = 15_000;

/** One call of the lab's client process. */
export async function callClient<K extends ClientOperation>(
  socketPath: string,
  op: K,
  params: ClientCalls[K]['params'],
): Promise<ClientCalls[K]['result']> {
  const socket = createConnection(socketPath);
  const { promise, resolve, reject } = Promise.withResolvers<ClientReply>();
  socket.setTimeout(ANSWER_MS_MAX, () => reject(new Error(`no answer within ${ANSWER_MS_MAX} ms`)));
  socket.once('error', reject);
  socket.once('close', () => reject(new Error('the connection was closed')));
  const lines = createInterface({ input: socket });
  // readline passes the socket's errors on; the socket's own listener deals with them.
  lines.on('error', () => undefined);
  lines.once('line', (line) => resolve(JSON.parse(line) as ClientReply));
  socket.write(`${JSON.stringify({ id: 1, op, params })}\n`);
  try {
    const reply = await promise;
    if ('error' in reply) throw new Error(reply.error);
    return reply.result as ClientCalls[K]['result'];
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new LabError('lab-command-failed', `the lab's client (${op}): ${why}`, cause);
  } finally {
    lines.close();
    socket.destroy();
  }
}
