import type { IpsecBackend } from '#core/model/channel.ts';
import type { CharonPair } from './charon-pair.ts';
import { startFakePair } from './fake-pair.ts';
import { startRealPair, whyNoKernelIpsec, whyNoRealCharon } from './real-charon.ts';

/** Every charon that the contract suites run against. */
export interface Implementation {
  readonly title: string;
  readonly usable: boolean;
  readonly backend: IpsecBackend;
  start(): Promise<CharonPair>;
}

/** Those that are no imitation. */
export function isReal({ title }: Implementation): boolean {
  return title.startsWith('the real');
}

const titleOf = (what: string, why: string | undefined): string => `${what}${why === undefined ? '' : ` (not run: ${why})`}`;
const [whyNot, whyNotKernel] = [whyNoRealCharon(), whyNoKernelIpsec()];

const real = (backend: IpsecBackend, family: 4 | 6): Implementation => {
  const why = backend === 'libipsec' ? whyNot : whyNotKernel;
  const what = backend === 'libipsec' ? 'libipsec' : "the kernel's IPsec";
  const title = titleOf(`the real charon with ${what} over IPv${family}`, why);
  return { title, usable: why === undefined, backend, start: () => startRealPair({ backend, family }) };
};

export const implementations: readonly Implementation[] = [
  { title: 'the fake charon', usable: true, backend: 'libipsec', start: () => startFakePair() },
  real('libipsec', 4),
  real('kernel', 4),
];

/** For what only the kernel's IPsec has. */
export const kernelImplementations: readonly Implementation[] = [
  { title: 'the fake charon with a fake kernel', usable: true, backend: 'kernel', start: () => startFakePair('kernel') },
  real('kernel', 4),
  real('kernel', 6),
];

export const ipv6Implementations: readonly Implementation[] = [real('libipsec', 6), real('kernel', 6)];
