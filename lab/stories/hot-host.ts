/** One host is over its line: the planner moves the VM that burns most to the only host with room, and then leaves everything alone. */
import { formatPercent } from '#cli/format.ts';
import type { PlanResource } from '#wire/api.ts';
import { belowLine, commonChecks, wentText } from './evidence.ts';
import type { Stage } from './stage.ts';
import { balancePolicy, check, commonLab, startLinePercent, type Story, type Told } from './story.ts';

const hot = 'host1';
/**
 * vm1 is what host1 has too much, and more than host3 has left. host2 has room for it even by what it waits for, which counts as wanted and
 * grows without bounds on a host that is full: by that a VM of one virtual CPU may be taken to want all of it.
 */
const cores = { host1: 0.4, host2: 2, host3: 0.6 };
const burning = { vm1: 38, vm2: 3, vm3: 3, vm5: 30 };
const right = `vm1 ${hot} -> host2`;
const roundsWatched = 12;
const relievedMsMax = 360_000;
/** Means over so long are what the kernel's account is asked for. */
const peakWindowMs = 4000;

export const hotHost: Story = {
  name: 'hot-host',
  title: 'One hot host: relieved by one move, and then nothing moves',
  lab: {
    ...commonLab,
    name: 'story-hot',
    hosts: 3,
    coresByHost: cores,
    guests: 6,
    placement: { vm1: 'host1', vm2: 'host1', vm3: 'host1', vm4: 'host2', vm5: 'host3', vm6: 'host3' },
    controllerConfig: balancePolicy,
  },
  tell,
};

async function tell(stage: Stage): Promise<Told> {
  const { moves, plans } = stage;
  await stage.untilQuiet();
  await stage.startCapture();
  await stage.plimsoll(['mode', 'automatic']);
  const sinceMs = performance.now();
  await stage.burn(burning);
  await stage.until(() => stage.host(hot).overLine, { what: `${hot} to be over its line`, timeoutMs: relievedMsMax });
  await stage.tellLoads('over');
  const relieved = async () => {
    const endedAtMs = moves.moved.at(-1)?.migration.endedAtMs ?? null;
    const plan = await stage.newestPlan();
    const isBalanced = endedAtMs !== null && plan !== null && plan.createdAtMs > endedAtMs && plan.verdict === 'balanced';
    return isBalanced && moves.idle && stage.hosts.every(({ overLine }) => !overLine);
  };
  await stage.until(relieved, { what: `${hot} to be relieved`, timeoutMs: relievedMsMax });
  await stage.tellLoads('relieved');
  const peak = stage.cpu.peakPercent(hot, sinceMs, peakWindowMs);
  const scan = await stage.stopCapture();
  const calm = await stage.watchRounds(roundsWatched);
  await stage.tellLoads('after');
  const went = moves.moved.map(wentText).join(', ');
  return {
    checks: [
      check(
        `${hot} was over its line, by the kernel's account`,
        peak > startLinePercent,
        `${formatPercent(peak)} of its cores for ${peakWindowMs / 1000} s`,
      ),
      check('one move relieved it, of the VM that burns most, to the only host with room', went === right, went),
      check('the planner had said so, and why', plans.told.length === 1 && isExplained(plans.told[0]), plans.told[0]?.summary ?? 'no plan'),
      belowLine(stage, calm.sinceMs),
      check(`nothing moved in ${roundsWatched} planning rounds afterwards`, calm.begun === 0, `${calm.begun} moves`),
      ...(await commonChecks(stage, scan)),
    ],
    shown: `${hot} was really over its line; one move through a proven channel brought it below, to a host that stayed below its own; nothing moved after that.`,
  };
}

/** The line that was broken, and where the move leaves the host. */
function isExplained(plan: PlanResource | undefined): boolean {
  const [move] = plan?.moves ?? [];
  return (
    move !== undefined &&
    move.reason.includes(`over its start line of ${startLinePercent} %`) &&
    move.source.cpuAfterPercent < startLinePercent
  );
}
