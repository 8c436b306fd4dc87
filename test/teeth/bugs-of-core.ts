import type { PlantedBug } from './bug.ts';
import { provocations } from './provocations.ts';

/** In what decides: pure functions. */
export const bugsOfCore: readonly PlantedBug[] = [
  {
    name: 'truth-table-flipped',
    what: 'the source is resumed although the destination runs the VM',
    file: 'src/core/migration/truth.ts',
    find: `  if (to === 'absent' || to === 'off') return { kind: 'resume-source' };
  if (to === 'running') return { kind: 'destroy-source-copy' };`,
    replace: `  if (to === 'absent' || to === 'off' || to === 'running') return { kind: 'resume-source' };`,
    caughtBy: ['two-copies'],
    schedule: 'scenario:libvirtd-dies-at-every-stage',
  },
  {
    name: 'wrong-copy-removed',
    what: 'of a VM that is halted on its source and nowhere else, that copy is removed instead of resumed',
    file: 'src/core/migration/truth.ts',
    find: `  if (to === 'absent' || to === 'off') return { kind: 'resume-source' };`,
    replace: `  if (to === 'absent' || to === 'off') return { kind: 'destroy-source-copy' };`,
    caughtBy: ['no-copy'],
    schedule: 'scenario:libvirtd-dies-at-every-stage',
  },
  {
    name: 'silence-is-absence',
    what: 'a host whose answers do not arrive, while it hears what is asked, is taken for one that has no copy',
    file: 'src/core/migration/truth.ts',
    find: `    case 'unreachable':
    case 'fenced':`,
    replace: `    case 'unreachable':
      return 'absent';
    case 'fenced':`,
    caughtBy: ['two-copies'],
    schedule: 'destination-is-not-heard',
  },
  {
    name: 'given-up-copy-forgotten',
    what: 'a destination that said that its copy is gone may have run it all the same, once it is silent',
    file: 'src/core/migration/resolution.ts',
    find: `  return destination.kind === 'unreachable' || destination.kind === 'fenced' || isEnded(destination);`,
    replace: `  return false;`,
    caughtBy: ['no-copy'],
    schedule: 'scenario:destination-gives-up-and-loses-power',
  },
  {
    name: 'half-is-removed',
    what: 'after the point of no return of a post-copy the source gives its half up, as after an abort',
    file: 'src/core/migration/truth.ts',
    find: `return { kind: 'recover-post-copy' };`,
    replace: `return { kind: 'destroy-source-copy' };`,
    caughtBy: ['memory-lost'],
    schedule: 'scenario:post-copy-link-cut-recovers',
  },
  {
    name: 'abort-past-the-point-of-no-return',
    what: 'an abort takes a VM back from its saved image while the destination is starting it',
    file: 'src/core/migration/image-move.ts',
    find: `  const verdict = await restored(ends, vmId);`,
    replace: `  const aborted = new Promise<RestoreVerdict>((resolve) => {
    const refusal = { code: 'aborted', message: 'aborted on request' } as const;
    signal.addEventListener('abort', () => resolve({ kind: 'refused', refusal }), { once: true });
  });
  const verdict = await Promise.race([restored(ends, vmId), aborted]);`,
    caughtBy: ['two-copies'],
    schedule: 'abort-while-restoring',
  },
  {
    name: 'source-is-believed',
    what: 'a transfer that its source calls complete is not looked at on the destination',
    file: 'src/core/migration/step.ts',
    find: `      return resolve(completed(migration, event, nowMs), null, nowMs);`,
    replace: `      return { migration: enter(completed(migration, event, nowMs), 'verifying', nowMs), effect: { kind: 'verify' } };`,
    caughtBy: ['ledger-untrue', 'no-copy'],
    schedule: 'source-lies-of-the-outcome',
  },
  {
    name: 'restart-assumes-the-worst',
    what: 'a controller that finds a migration whose end is not known closes it as failed without asking the hosts',
    file: 'src/core/migration/step.ts',
    find: `      return askAnew(migration, nowMs);
    case 'done':`,
    replace: `      return fail(migration, restarted('before it was known where the VM is'), nowMs);
    case 'done':`,
    caughtBy: ['ledger-incomplete', 'ledger-untrue'],
    schedule: 'controller-dies-before-it-has-asked',
  },
  {
    name: 'ticket-taken-twice',
    what: 'a ticket that was used before is accepted again',
    file: 'src/core/access/ticket-gate.ts',
    find: `  if (Object.hasOwn(memory.usedTickets, ticket.ticketId))
    return refuse('ticket-used', \`ticket \${ticket.ticketId} was used before: start the migration again\`);
  const stale = staleEpoch(ticket, memory);
  if (stale) return { ok: false, refusal: stale };
`,
    replace: '',
    caughtBy: ['ticket-reused'],
    schedule: 'abort-and-again',
    provocation: provocations.repeatedOrders,
  },
  {
    name: 'vm-epoch-not-checked',
    what: 'an order about a VM is carried out although a newer migration of it has begun',
    file: 'src/core/access/ticket-gate.ts',
    find: `  if (epoch >= known) return null;
  return { code: 'stale-epoch', message: \`epoch`,
    replace: `  if (epoch >= 0) return null;
  return { code: 'stale-epoch', message: \`epoch`,
    caughtBy: ['stale-epoch'],
    schedule: 'abort-and-again',
    provocation: provocations.repeatedOrders,
  },
  {
    name: 'controller-epoch-not-checked',
    what: 'an agent obeys a controller that has been replaced',
    file: 'src/core/access/ticket-gate.ts',
    find: `  if (epoch >= memory.controllerEpoch) return null;`,
    replace: `  if (epoch >= 0) return null;`,
    caughtBy: ['stale-epoch'],
    schedule: 'new-controller',
    provocation: provocations.formerController,
  },
  {
    name: 'lease-without-drift-margin',
    what: "the controller waits for a host's lease as if both of their clocks went right",
    file: 'src/core/recovery/lease.ts',
    find: `return Math.ceil(((leaseMs + fenceMs) * (1 + driftShare)) / (1 - driftShare));`,
    replace: `return Math.ceil(leaseMs + fenceMs + 0 * driftShare);`,
    caughtBy: ['two-copies'],
    schedule: 'clocks-drift-apart',
    provocation: provocations.noStorageLock,
  },
  {
    name: 'lease-counted-from-arrival',
    what: 'a host counts its lease from when the grant arrives, and not from its own stamp',
    file: 'src/core/recovery/lease.ts',
    find: `return stampMs <= nowMs ? stampMs + leaseMs : null;`,
    replace: `return stampMs <= nowMs ? nowMs + leaseMs : null;`,
    caughtBy: ['two-copies'],
    schedule: 'grant-held-up',
    provocation: provocations.noStorageLock,
  },
  {
    name: 'plain-probes-not-judged',
    what: 'the proof of a channel does not look at what became of the probes in plain text',
    file: 'src/core/channel/proof.ts',
    find: `    crossingFault(destination, 'in') ??
    plainFault(source, destination);`,
    replace: `    crossingFault(destination, 'in');`,
    caughtBy: ['plain-bytes'],
    schedule: 'leaky-guards',
  },
  {
    name: 'guard-not-watched',
    what: 'a transfer goes on although the guard is gone',
    file: 'src/core/channel/watch.ts',
    find: `  if (!now.guard.installed)
    return stop(`,
    replace: `  if (now.guard.droppedOutPackets < 0)
    return stop(`,
    caughtBy: ['plain-bytes'],
    schedule: 'guards-vanish',
  },
];
