/** Tells one story in a lab of its own. */
import { labUp } from '#lab/api.ts';
import { Stage } from './stage.ts';
import { balancePolicy, type Story, type Told } from './story.ts';
import type { StoryLog } from './story-log.ts';

export interface StoryControl {
  readonly signal: AbortSignal;
  /** Leave the lab up. */
  readonly keep: boolean;
}

/** Resolves with what was seen; the lab is gone then, unless it is kept. */
export async function runStory(story: Story, log: StoryLog, { signal, keep }: StoryControl): Promise<Told> {
  log.begin(story.title);
  log.say('lab', labText(story));
  log.say('policy', policyText);
  const lab = await labUp({ ...story.lab, mode: 'observe' }, { signal, stays: keep, log: (text) => log.say('', text) });
  try {
    const stage = await Stage.open(lab, log, signal);
    try {
      const told = await story.tell(stage);
      for (const { what, holds, seen } of told.checks) log.say(holds ? 'ok' : 'FAILED', `${what}: ${seen}`);
      log.say('shown', told.checks.every(({ holds }) => holds) ? told.shown : 'NOT all of it holds: see FAILED above.');
      return told;
    } finally {
      await stage.close();
    }
  } finally {
    if (keep && !signal.aborted) log.say('lab', `'${lab.name}' stays up: 'plimsoll lab down --name ${lab.name}' takes it down`);
    else await lab.down();
  }
}

const { strategy, cpuLine } = balancePolicy.policy;
const policyText = `strategy ${strategy}: as soon as a host is over ${cpuLine.startPercent} %, the move is made that saves most shortage of CPU, until it is at ${cpuLine.stopPercent} %`;

function labText({ lab: { coresByHost = {}, guests } }: Story): string {
  const hosts = Object.entries(coresByHost).map(([host, cores]) => `${host} ${cores}`);
  return `cores (quotas of control groups): ${hosts.join(', ')}; in each host libvirtd, QEMU, strongSwan and agent; ${guests} VMs`;
}
