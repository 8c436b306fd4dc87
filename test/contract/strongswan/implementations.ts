import type { CharonPair } from './charon-pair.ts';
import { startFakePair } from './fake-pair.ts';
import { startRealPair, whyNoRealCharon } from './real-charon.ts';

/** Every charon that the contract suites run against. */
export interface Implementation {
  readonly title: string;
  readonly usable: boolean;
  start(): Promise<CharonPair>;
}

const why = whyNoRealCharon();

export const implementations: readonly Implementation[] = [
  { title: 'the fake charon', usable: true, start: startFakePair },
  { title: `the real charon${why === undefined ? '' : ` (not run: ${why})`}`, usable: why === undefined, start: startRealPair },
];
