import { createHash } from 'node:crypto';
import type { Surroundings } from './cluster.ts';

/** Node's own timers, signals and sockets (of a test runner, or of Ctrl-C) get a turn after this many drains. */
const drainsPerTurn = 1000;
let drains = 0;

/**
 * A tick that is asked for from within a promise reaction runs when no reaction is left, and costs a fifth of a
 * turn of the event loop, which polls the operating system each time.
 */
function drain(): Promise<void> {
  drains += 1;
  return new Promise((resolve) => {
    if (drains % drainsPerTurn === 0) setImmediate(resolve);
    else process.nextTick(resolve);
  });
}

/** What a simulation takes from Node, and the only file of the simulator that does: the end of all promise reactions, and SHA-256. */
export const surroundings: Surroundings = {
  drain,
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
};
