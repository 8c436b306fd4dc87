import { createHash } from 'node:crypto';
import type { Surroundings } from '#sim/cluster.ts';

/** What the simulator takes from Node: one turn of the event loop, and SHA-256. */
export const surroundings: Surroundings = {
  drain: () => new Promise((resolve) => setImmediate(resolve)),
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
};
