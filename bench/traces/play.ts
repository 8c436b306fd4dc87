import type { Balancer } from './balancer.ts';
import { Cluster } from './cluster.ts';
import type { Physics } from './physics.ts';
import type { Outcome } from './tally.ts';
import type { Workload } from './workload.ts';

/** Plays one workload under one balancer. The same arguments give the same outcome, but for its CPU time. */
export function play(workload: Workload, balancer: Balancer, physics: Physics, hours: number): Outcome {
  const cluster = new Cluster(workload, physics, balancer.limits);
  const endSeconds = hours * 3600;
  let cpuMicroseconds = 0;
  for (let atSeconds = 0; atSeconds < endSeconds;) {
    const seconds = Math.min(balancer.periodSeconds, endSeconds - atSeconds);
    cluster.advance(seconds);
    atSeconds += seconds;
    const view = cluster.view();
    const before = process.cpuUsage();
    const steps = balancer.plan(view);
    const { user, system } = process.cpuUsage(before);
    cpuMicroseconds += user + system;
    cluster.request(steps);
  }
  return cluster.tally.outcome(cpuMicroseconds / 1e6);
}
