import type { Balancer } from '#bench/traces/balancer.ts';

/** Moves nothing: what the others are measured from. */
export const none: Balancer = {
  name: 'none',
  periodSeconds: 60,
  limits: { perHostMax: 1, perClusterMax: 1 },
  plan: () => [],
};
