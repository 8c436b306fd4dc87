import { duration } from '#core/planner/words.ts';
import type { VmState } from '#core/model/vm.ts';
import type { PreflightInput } from './preflight-input.ts';
import { noteOf, pass, refuse, unknown, warn, type Note } from './preflight-note.ts';

/** A certificate that outlives the prediction by less than this is worth a word: predictions err, and migrations are tried again. */
const certificateSpareMs = 60 * 60_000;

export function judgeHost(input: PreflightInput): Note {
  const { hostId, sourceHostId, vm } = input;
  if (hostId === sourceHostId) return refuse('destination-same-as-source', `${vm.name} is on ${hostId} already: name another host`);
  return noteOf(input.host, hostId, { fine: `${hostId} is up`, notLookedAt: `whether ${hostId} is up was not looked at` });
}

export function judgeCertificate(input: PreflightInput): Note {
  const { hostId, sourceHostId, certificateLeftMs, predictedTotalMsMax } = input;
  const hosts = `${sourceHostId} and ${hostId}`;
  const sentences = { fine: `the certificates of ${hosts} are valid`, notLookedAt: `the certificates of ${hosts} were not looked at` };
  const note = noteOf(input.certificate, hostId, sentences);
  if (certificateLeftMs === null || note.verdict === 'refuse') return note;
  if (certificateLeftMs <= 0) {
    return refuse('certificate-expired', `a certificate of ${hosts} has expired: renew it`);
  }
  const left = duration(certificateLeftMs);
  if (predictedTotalMsMax !== null && certificateLeftMs < predictedTotalMsMax) {
    const figures = `expires in ${left}, and the migration may take ${duration(predictedTotalMsMax)}`;
    return refuse('certificate-expired', `a certificate of ${hosts} ${figures}: renew it first`);
  }
  const isShort = certificateLeftMs < (predictedTotalMsMax ?? 0) + certificateSpareMs;
  return isShort ? warn(`a certificate of ${hosts} expires in ${left}: renew it soon`) : note;
}

export function judgeClock(input: PreflightInput): Note {
  const hosts = `${input.sourceHostId} and ${input.hostId}`;
  const sentences = { fine: `the clocks of ${hosts} agree`, notLookedAt: `the clocks of ${hosts} were not compared` };
  return noteOf(input.clock, input.hostId, sentences);
}

export function judgeChannel(input: PreflightInput): Note {
  const way = `from ${input.sourceHostId} to ${input.hostId}`;
  const sentences = {
    fine: `the channel ${way} can be made, and is proven when the migration begins`,
    notLookedAt: `the channel ${way} is proven when the migration begins, and was not tried now`,
  };
  return noteOf(input.channel, input.hostId, sentences);
}

export function judgeVmState(input: PreflightInput): Note {
  const { vm, sourceHostId } = input;
  const where = `on ${sourceHostId}`;
  if (vm.postCopy === 'failed') {
    return refuse(
      'post-copy-broken',
      `${vm.name} is halted in a post-copy whose hosts lost each other: let that migration recover before ${vm.name} leaves ${sourceHostId}`,
    );
  }
  if (vm.postCopy === 'active') {
    return refuse('vm-busy', `the memory of ${vm.name} is still on two hosts, ${sourceHostId} is one: wait until its post-copy has ended`);
  }
  const live = 'and only a running VM can move live';
  const notes: Readonly<Record<VmState, Note>> = {
    running: pass(`${vm.name} runs ${where}`),
    paused: refuse('vm-not-running', `${vm.name} is paused ${where}, ${live}: resume it first`),
    incoming: refuse('vm-busy', `${vm.name} is just arriving ${where}: wait until it is there`),
    'shut-off': refuse('vm-not-running', `${vm.name} is shut off ${where}, ${live}: start it first`),
    crashed: refuse('vm-not-running', `${vm.name} has crashed ${where}, ${live}: start it anew first`),
    unknown: refuse('vm-not-running', `the hypervisor ${where} does not tell the state of ${vm.name}: look at it there`),
  };
  return notes[vm.state];
}

export function judgeOtherJob({ vm, sourceHostId, otherMigrationId }: PreflightInput): Note {
  if (otherMigrationId !== null) {
    return refuse(
      'vm-busy',
      `migration ${otherMigrationId} of ${vm.name} from ${sourceHostId} is under way: wait for its end, or abort it`,
    );
  }
  if (vm.jobActive) {
    return refuse('vm-busy', `the hypervisor of ${sourceHostId} has a job on ${vm.name}: wait for its end, or abort it`);
  }
  return pass(`nothing else is being done with ${vm.name} on ${sourceHostId}`);
}

/** What the destination has of the VM already. A definition that is shut off is replaced by the one that arrives. */
export function judgeCopy({ vm, hostId, offer }: PreflightInput): Note {
  if (offer === null) return unknown(`whether ${hostId} has ${vm.name} already could not be looked at`);
  if (offer.ownCopy === null) return pass(`${hostId} has nothing of ${vm.name}`);
  if (offer.ownCopy === 'shut-off') return pass(`${hostId} has a definition of ${vm.name} that is shut off: it is replaced`);
  return refuse('destination-has-vm', `${hostId} has ${vm.name} already (${offer.ownCopy}): look which one is right, and remove the other`);
}

export function judgeCoolDown({ vm, sourceHostId, coolDownLeftMs, askedBy }: PreflightInput): Note {
  if (!(coolDownLeftMs > 0)) return pass(`${vm.name} on ${sourceHostId} is not cooling down from an earlier move`);
  const left = `${vm.name} on ${sourceHostId} cools down from its last move for another ${duration(coolDownLeftMs)}`;
  return askedBy === 'planner' ? refuse('cool-down', `${left}: wait, or move it by hand`) : warn(`${left}: the planner would leave it`);
}

export function judgeDowntime(input: PreflightInput): Note {
  const move = `from ${input.sourceHostId} to ${input.hostId}`;
  const sentences = { fine: `the predicted downtime ${move} is accepted`, notLookedAt: `the downtime ${move} was not predicted` };
  return noteOf(input.downtime, input.hostId, sentences);
}
