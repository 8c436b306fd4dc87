/** How balancing stands, as a REST resource. */
import { rejectedTotal } from '#core/load/host-trust.ts';
import type { BalanceResource } from '#wire/balance-api.ts';
import type { ClusterView } from './cluster-view.ts';
import type { Planning } from './planning.ts';

export function balanceResource(view: ClusterView, planning: Planning, planIntervalMs: number, nowMs: number): BalanceResource {
  const hosts = view.hosts();
  const plan = planning.latest();
  return {
    mode: planning.mode,
    planIntervalMs,
    plan: plan && {
      planId: plan.planId,
      verdict: plan.verdict,
      summary: plan.summary,
      createdAtMs: plan.createdAtMs,
      moves: plan.moves.length,
    },
    hosts: hosts.length,
    overLine: hosts.filter((host) => view.overLine(host, nowMs)).map(({ hostId, roundsOverLine }) => ({ hostId, roundsOverLine })),
    quarantined: hosts.flatMap(({ hostId, trust: { quarantine } }) => (quarantine === null ? [] : [{ hostId, quarantine }])),
    samples: {
      accepted: hosts.reduce((sum, { samplesAccepted }) => sum + samplesAccepted, 0),
      rejected: hosts.reduce((sum, { trust }) => sum + rejectedTotal(trust), 0),
      rejectedBy: view.rejected(),
    },
    forecast: { ...view.forecasts(), vmsTotal: view.vms().length },
  };
}
