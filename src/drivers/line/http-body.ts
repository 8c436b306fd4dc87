import type { IncomingMessage } from 'node:http';
import { addAbortSignal } from 'node:stream';
import { PlimsollError } from '#core/model/result.ts';

/** Reads a JSON body of at most `bytesMax` bytes. Throws `message-invalid`, or the stream's error. */
export async function readBody(message: IncomingMessage, bytesMax: number, signal: AbortSignal): Promise<unknown> {
  addAbortSignal(signal, message);
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  // Not `for await`: leaving that loop early destroys the connection, and the refusal could not be sent.
  await new Promise<void>((resolve, reject) => {
    message.on('data', (chunk: Buffer) => {
      sizeBytes += chunk.length;
      if (sizeBytes <= bytesMax) chunks.push(chunk);
      else reject(new PlimsollError('message-invalid', `The body is over ${bytesMax} bytes; nothing of plimsoll sends that much here.`));
    });
    message.once('end', resolve);
    message.once('error', reject);
    message.once('close', () => reject(new PlimsollError('link-lost', 'The connection closed before the whole body came; try again.')));
  });
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (error) {
    throw new PlimsollError('message-invalid', 'The body is not JSON; use the same version of plimsoll on both sides.', { cause: error });
  }
}
