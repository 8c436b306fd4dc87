import { once } from 'node:events';
import { connect } from 'node:net';
import { PassThrough, Readable } from 'node:stream';
import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';

import { receiveImage, sendImage, type ReceiveOptions } from './image-line.ts';

const image = randomBytes(300_000);
const digest = { sha256: createHash('sha256').update(image).digest('hex'), bytes: image.length };
const address = '127.0.0.1';
const options: ReceiveOptions = { address, port: 0, bytesMax: 1_000_000, arrivalMsMax: 5_000, silenceMsMax: 5_000 };
const going = new AbortController().signal;
const nothing = (): void => undefined;

function collector(): { readonly sink: PassThrough; readonly bytes: () => Buffer } {
  const sink = new PassThrough();
  const parts: Buffer[] = [];
  sink.on('data', (part: Buffer) => parts.push(part));
  return { sink, bytes: () => Buffer.concat(parts) };
}

function source(bytes: Buffer): Readable {
  return Readable.from([bytes.subarray(0, 70_000), bytes.subarray(70_000)]);
}

async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no failure',
    (error: unknown) => error,
  );
}

describe('the line of a sealed image', () => {
  it('brings every byte over, and both ends know the same digest', async () => {
    const { sink, bytes } = collector();
    const receiving = await receiveImage(options, sink);
    const counts: number[] = [];
    const to = { address, port: receiving.port, token: receiving.token, silenceMsMax: 5_000 };
    expect(await sendImage(to, source(image), (count) => counts.push(count), going)).toEqual(digest);
    expect(await receiving.done).toEqual(digest);
    expect(bytes().equals(image)).toBe(true);
    expect(counts.at(-1)).toBe(image.length);
    receiving.close();
  });

  it('lets a stranger without the token neither in nor in the way', async () => {
    const { sink, bytes } = collector();
    const receiving = await receiveImage(options, sink);
    const stranger = connect({ host: address, port: receiving.port });
    stranger.on('error', nothing).write(Buffer.alloc(64));
    await once(stranger, 'close');
    const wrong = { address, port: receiving.port, token: '00'.repeat(32), silenceMsMax: 5_000 };
    await failureOf(sendImage(wrong, source(image), nothing, going));
    expect(bytes()).toHaveLength(0);
    await sendImage({ ...wrong, token: receiving.token }, source(image), nothing, going);
    expect(await receiving.done).toEqual(digest);
    receiving.close();
  });

  it('takes no more than was allowed', async () => {
    const receiving = await receiveImage({ ...options, bytesMax: 100_000 }, collector().sink);
    await failureOf(
      sendImage({ address, port: receiving.port, token: receiving.token, silenceMsMax: 5_000 }, source(image), nothing, going),
    );
    expect(await failureOf(receiving.done)).toMatchObject({ code: 'channel-failed', message: expect.stringContaining('larger') });
    receiving.close();
  });

  it('waits for a sender only so long', async () => {
    const receiving = await receiveImage({ ...options, arrivalMsMax: 20 }, collector().sink);
    expect(await failureOf(receiving.done)).toMatchObject({ code: 'channel-failed' });
    receiving.close();
  });

  it('fails on both sides when the sender gives up, or nobody listens', async () => {
    const receiving = await receiveImage({ ...options, silenceMsMax: 200 }, collector().sink);
    const to = { address, port: receiving.port, token: receiving.token, silenceMsMax: 5_000 };
    const abort = new AbortController();
    const endless = new PassThrough();
    endless.write(image);
    const sending = failureOf(sendImage(to, endless, () => abort.abort(), abort.signal));
    expect(await sending).toMatchObject({ code: 'aborted' });
    receiving.close();
    expect(await failureOf(sendImage(to, source(image), nothing, going))).toMatchObject({ code: 'channel-failed' });
  });
});
