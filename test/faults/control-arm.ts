/**
 * The control arm: the same kinds of fault and the same oracle, and a driver as many scripts have it, which believes the source's `completed`;
 * beside it the same driver with what it lacks. The first has to lose VMs, else the campaign would prove nothing; the second shows why.
 */
import { type Lab, labUp, removeLab } from '#lab/api.ts';
import { makeTaps, withGuests } from './naive/guest.ts';
import { planTrials, type Trial } from './naive/plan.ts';
import { Slot } from './naive/slot.ts';
import { type Ending, judgeArms, type Outcome, printTable } from './naive/verdict.ts';
import { Oracle } from './oracle/oracle.ts';

/** Interrupted migrations of each driver. */
export const controlArmRunsDefault = 30;

const labName = 'faults-naive';
/** While one VM is watched, or booted anew, another is migrated. */
const slotCount = 4;
const triesMax = 3;
/** Slow enough that the last part of the VM still waits in the source's socket when the source calls the migration completed. */
const rate = '200mbit';
const labOptions = { hosts: 2, guests: 0, plimsoll: false, guestMemoryMib: 80, workingSetMib: 12, coresPerHost: 2, rate };

interface Stage {
  readonly left: Trial[];
  readonly outcomes: Outcome[];
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** One migration at a time: they share the link. */
  readonly alone: <T>(act: () => Promise<T>) => Promise<T>;
}

function takingTurns(): Stage['alone'] {
  let last: Promise<unknown> = Promise.resolve();
  return (act) => {
    const turn = last.then(act);
    last = turn.catch(() => undefined);
    return turn;
  };
}

const nameOf = ({ style, fault, moment }: Trial): string => `${style}, ${fault}, source says ${moment}`;
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const endings: Readonly<Record<Ending, string>> = {
  runs: 'runs',
  gone: 'is gone',
  stands: 'stands',
  mute: 'does not beat',
};

function lineOf(outcome: Outcome): string {
  const { ending, noneMs, said } = outcome;
  return `${nameOf(outcome)}: the VM ${endings[ending]}, none for ${(noneMs / 1000).toFixed(1)} s; the driver: ${said}`;
}

/** Plays what is left, until nothing is. */
async function playOn(slot: Slot, stage: Stage): Promise<void> {
  const { left, outcomes, say, signal } = stage;
  for (let trial = left.shift(); trial !== undefined && !signal.aborted; trial = left.shift()) {
    const one = trial;
    for (let tries = 1; tries <= triesMax && !signal.aborted; tries += 1) {
      try {
        const outcome = await slot.judge(await stage.alone(() => slot.interrupt(one)));
        outcomes.push(outcome);
        say(`${outcomes.length}: ${lineOf(outcome)}`);
        break;
      } catch (error) {
        if (signal.aborted) return;
        say(`${nameOf(one)}: try ${tries} was no trial: ${messageOf(error)}`);
        await slot.repair();
      }
    }
  }
}

async function playAll(lab: Lab, stage: Stage): Promise<void> {
  const { say, signal } = stage;
  await makeTaps(lab);
  say(`booting ${slotCount} guests`);
  const slots = await Promise.all(lab.record.guests.map((guest) => Slot.open(lab, guest, signal)));
  const oracle = await Oracle.start(lab);
  try {
    for (const slot of slots) slot.watch(oracle);
    const players = await Promise.allSettled(slots.map((slot) => playOn(slot, stage)));
    for (const player of players) if (player.status === 'rejected') say(`a guest was given up: ${messageOf(player.reason)}`);
  } finally {
    await oracle.stop();
  }
}

/** Exit code: 0 when the naive driver loses VMs and the careful one none; 1 when it is not so; 2 when not everything could be played. */
export async function playControlArm(say: (line: string) => void, interruptedPerStyle: number): Promise<number> {
  const stop = new AbortController();
  const { signal } = stop;
  const onInterrupt = (): void => {
    say('taking everything down');
    stop.abort();
  };
  process.once('SIGINT', onInterrupt);
  const plan = planTrials(interruptedPerStyle);
  const outcomes: Outcome[] = [];
  try {
    await removeLab(labName);
    const lab = await labUp({ name: labName, ...labOptions }, { signal, log: say });
    await playAll(await withGuests(lab, slotCount), { left: [...plan], outcomes, say, signal, alone: takingTurns() });
  } catch (error) {
    if (!signal.aborted) say(messageOf(error));
  } finally {
    process.off('SIGINT', onInterrupt);
    // Whatever still waits for something of the lab.
    stop.abort();
    await removeLab(labName);
  }
  const { sentences, exitCode } = judgeArms(outcomes, plan.length);
  say(`\n${printTable(outcomes)}\n\n${sentences.join('\n')}`);
  return exitCode;
}
