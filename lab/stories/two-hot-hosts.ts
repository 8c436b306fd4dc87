/** Two hosts are over their line, and a rule closes the emptiest host to one of the VMs that burn: an operator approves a plan that says so. */
import { formatPercent } from '#cli/format.ts';
import type { PlanResource } from '#wire/api.ts';
import { belowLine, commonChecks, wentText } from './evidence.ts';
import type { Stage } from './stage.ts';
import { balancePolicy, check, type Check, commonLab, startLinePercent, type Story, type Told } from './story.ts';

const hot = ['host1', 'host2'] as const;
/** Emptiest of all; vm7 runs there, which vm1 must not meet. */
const closed = 'host3';
const open = 'host4';
const rule = { name: 'copies-apart', vms: ['vm1', 'vm7'] } as const;
/** vm1 is what host1 has too much, and vm4 what host2 has. host3 would be less loaded than host4 with both of them. */
const cores = { host1: 0.4, host2: 0.4, host3: 2, host4: 1.4 };
const burning = { vm1: 38, vm2: 3, vm3: 3, vm4: 28, vm5: 3, vm6: 3, vm8: 34 };
const planMsMax = 420_000;
const relievedMsMax = 300_000;
const roundsWatched = 8;
const peakWindowMs = 4000;

export const twoHotHosts: Story = {
  name: 'two-hot-hosts',
  title: 'Two hot hosts and a rule: the best target is closed, and the plan says by what',
  lab: {
    ...commonLab,
    name: 'story-rule',
    hosts: 4,
    coresByHost: cores,
    guests: 8,
    placement: { vm1: 'host1', vm2: 'host1', vm3: 'host1', vm4: 'host2', vm5: 'host2', vm6: 'host2', vm7: 'host3', vm8: 'host4' },
    controllerConfig: balancePolicy,
  },
  tell,
};

async function tell(stage: Stage): Promise<Told> {
  await stage.untilQuiet();
  await stage.plimsoll(['rule', 'add', 'anti-affinity', rule.name, '--vm', rule.vms.join(',')]);
  await stage.plimsoll(['mode', 'approve']);
  await stage.startCapture();
  const sinceMs = performance.now();
  await stage.burn(burning);
  const plan = await planForBoth(stage);
  const peaks = hot.map((hostId) => stage.cpu.peakPercent(hostId, sinceMs, peakWindowMs));
  await stage.tellLoads('over');
  await stage.plimsoll(['plan', 'apply', plan.planId]);
  const relieved = () =>
    stage.moves.moved.length >= plan.moves.length && stage.moves.idle && stage.hosts.every(({ overLine }) => !overLine);
  await stage.until(relieved, { what: 'both hosts to be relieved', timeoutMs: relievedMsMax });
  const scan = await stage.stopCapture();
  await stage.tellLoads('relieved');
  const calm = await stage.watchRounds(roundsWatched);
  const went = stage.moves.moved.map(wentText);
  const planned = plan.moves.map((move) => `${move.vmName} ${move.fromHostId} -> ${move.toHostId}`);
  return {
    checks: [
      check(
        "both were over their line, by the kernel's account",
        peaks.every((peak) => peak > startLinePercent),
        `${peaks.map((peak) => formatPercent(peak)).join(' and ')} of their cores for ${peakWindowMs / 1000} s`,
      ),
      check(`vm1 went to ${open}, not to ${closed}`, went.includes(`vm1 host1 -> ${open}`), went.join(', ')),
      check(`the plan names the rule that closed ${closed}`, closedBy(plan) !== null, closedBy(plan) ?? 'it does not'),
      check(
        'what moved is what was approved',
        went.toSorted().join() === planned.toSorted().join(),
        `${planned.length} moves by plan ${plan.planId}`,
      ),
      ruleHeld(stage),
      belowLine(stage, calm.sinceMs),
      check(`nothing moved in ${roundsWatched} planning rounds afterwards`, calm.begun === 0, `${calm.begun} moves`),
      ...(await commonChecks(stage, scan)),
    ],
    shown: `two hosts were relieved at once; ${closed} was the emptiest, rule ${rule.name} closed it to vm1, the plan said so before anybody approved it, and the rule held all the time.`,
  };
}

/** Where the planner may move nothing, it goes on planning: a plan that relieves both hosts is waited for. */
async function planForBoth(stage: Stage): Promise<PlanResource> {
  let found: PlanResource | null = null;
  const both = async () => {
    const plan = await stage.newestPlan();
    const from = new Set((plan?.moves ?? []).map(({ fromHostId }) => fromHostId));
    if (plan !== null && hot.every((hostId) => from.has(hostId)) && closedBy(plan) !== null) found = plan;
    return found !== null;
  };
  await stage.until(both, { what: `a plan that relieves ${hot.join(' and ')}`, timeoutMs: planMsMax });
  return found ?? Promise.reject(new Error('no plan'));
}

/** What the plan says of the host that was closed to vm1; null when it says nothing. */
function closedBy({ moves }: PlanResource): string | null {
  const reason = moves.find(({ vmName }) => vmName === 'vm1')?.reason ?? '';
  return reason.split('; ').find((part) => part.startsWith(`${closed} would have more`) && part.includes(rule.name)) ?? null;
}

/** By every answer of every QEMU since the rule was made: the two never ran on one host. */
function ruleHeld({ oracle }: Stage): Check {
  const [one, other] = rule.vms.map((vm) => oracle.guest(vm).samples);
  const hostsAt = new Map(other?.map(({ atMs, copies }) => [atMs, runningIn(copies)]));
  const met = (one ?? []).filter(({ atMs, copies }) => runningIn(copies).some((host) => hostsAt.get(atMs)?.includes(host)));
  const looks = (one ?? []).filter(({ atMs }) => hostsAt.has(atMs)).length;
  return check(
    `rule ${rule.name} held at every moment`,
    looks > 0 && met.length === 0,
    `${looks} looks at both, ${met.length} on one host`,
  );
}

function runningIn(copies: Readonly<Record<string, string>>): readonly string[] {
  return Object.keys(copies).filter((host) => copies[host] === 'running');
}
