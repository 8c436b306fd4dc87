/** One thread: plays the seeds that it is sent, one at a time. */
import { parentPort } from 'node:worker_threads';
import type { ScheduleOptions } from '#sim/schedule.ts';
import { type Played, playSeed } from '#sim/soak.ts';
import { surroundings } from '#test/scenarios/surroundings.ts';

export interface Order {
  readonly seed: number;
  readonly options: ScheduleOptions;
}

/** A whole log is only worth its way to the other thread where something broke. */
const tailLines = 25;

const port = parentPort;
if (port === null) throw new Error('this is a worker: start it from runner.ts');
port.on('message', (order: Order) => {
  void playSeed(order.seed, order.options, surroundings).then((played) => port.postMessage(short(played)));
});

function short(played: Played): Played {
  return { ...played, log: played.breaches.length === 0 ? [] : played.log.slice(-tailLines) };
}
