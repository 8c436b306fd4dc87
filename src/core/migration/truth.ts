/**
 * Where a VM is, decided from both hosts. libvirt leaves a crash of the source's daemon after Perform to "a
 * third party": this table is that third party. It is a pure function so that each row is a test.
 */
import type { ImageStanding, VmTruth } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';

/** What puts things right on one of the hosts. */
export type Correction =
  | 'recover-post-copy'
  | 'resume-source'
  | 'destroy-source-copy'
  /** One that is older than the VM's disk, of a VM that is started anew by itself. */
  | 'destroy-older-copy'
  | 'destroy-destination-copy'
  /** One whose host calls its job at work. */
  | 'destroy-abandoned-copy'
  | 'discard-destination-image'
  | 'take-image-back'
  | 'forget-source-image';

export type TruthVerdict =
  | { readonly kind: 'on-destination' }
  /** `note`: what was not asked, for whoever reads the end of the migration. */
  | { readonly kind: 'on-source'; readonly note: string | null }
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: Correction }
  | { readonly kind: 'unclear'; readonly refusal: Refusal };

type Place =
  | 'unreachable'
  | 'fenced'
  | 'excluded'
  | 'absent'
  | 'off'
  | 'crashed'
  | 'moving'
  | 'fetching'
  | 'running'
  | 'halted'
  | 'incoming'
  | 'unknown'
  | 'half'
  | ImageStanding;

function placeOf(truth: VmTruth): Place {
  switch (truth.kind) {
    case 'unreachable':
    case 'fenced':
    case 'excluded':
    case 'absent':
      return truth.kind;
    case 'image':
      return truth.standing;
    case 'present':
      break;
    default:
      return truth satisfies never;
  }
  // The hypervisor calls a post-copy that failed a job at work: it waits to be recovered.
  if (truth.postCopy === 'failed') return 'half';
  if (truth.postCopy === 'active') return 'fetching';
  if (truth.jobActive) return 'moving';
  switch (truth.state) {
    case 'running':
    case 'incoming':
    case 'unknown':
    case 'crashed':
      return truth.state;
    case 'paused':
      return 'halted';
    case 'shut-off':
      return 'off';
    default:
      return truth.state satisfies never;
  }
}

/**
 * | source \ destination | absent, off     | halted, incoming   | running             | image held          |
 * |----------------------|-----------------|--------------------|---------------------|---------------------|
 * | running              | on source       | destroy dest. copy | two copies: a person| discard it          |
 * | halted               | resume source   | destroy dest. copy | destroy source copy | discard it          |
 * | incoming             | wait            | wait               | destroy source copy | wait                |
 * | absent, off          | zero copies     | wait               | on destination      | wait                |
 * | image given          | take it back (*)| wait               | forget the image    | discard it (*)      |
 *
 * A VM that has crashed ("off" otherwise) has run. One that is not on a host which was restarted since it was to come there may have run
 * too, and is called crashed; so is one that its host has ended with its lease. Beside either on the destination a halted source is older,
 * and a person decides; of a VM that is restartable that copy is destroyed, so that the VM can be started again.
 *
 * A post-copy that failed has left half of the VM's memory on each host ("half"): both halves are needed, so neither copy is touched,
 * and the migration is taken up again, also while the destination still waits for the rest and calls that fetching (libvirt 9.0 and QEMU 7.2
 * did, for as long as the link was cut); a half without the other is a VM whose memory is lost:
 *
 * | source \ destination | absent, off, crashed | halted, incoming, an image | running             | half, fetching |
 * |----------------------|----------------------|----------------------------|---------------------|-------------|
 * | half                 | memory lost          | wait                       | destroy source copy | recover     |
 * | running              |                      |                            |                     | two copies  |
 * | halted, incoming, ...|                      |                            |                     | wait        |
 * | absent, off, crashed |                      |                            |                     | memory lost |
 *
 * A destination whose job is at work on a copy that never ran, while the source runs and has no job, is mostly about to clean up. libvirt
 * 9.0 that was killed as it began to start the copy's process has it back after its restart, without a process and with that job for ever.
 *
 * A job at work otherwise, a state that the hypervisor does not know, or a host out of reach on either side means wait, and so does an
 * image that its source still moves or keeps: that agent ends by starting it again. Destroying a halted destination copy while the source
 * lives is safe because with QEMU's return path the source gives up only after the destination runs.
 *
 * (*) Only where the destination is known not to have started the VM: absent, or holding an image that it was not told to start.
 * A VM that is off there has run there, or somebody has put it there: its older memory must not live again, so a person decides.
 *
 * A host that is silent for longer than its lease has ended the VM ("fenced"). With a VM that runs on the other one, or is on neither, that
 * is the end of it; a halted source waits all the same, because the VM may have run on a destination that was fenced.
 *
 * What it is asked with is the newest word of each host, with one exception: a destination that had said twice that its copy is gone, and
 * is silent or was restarted since then, is "absent" here (resolution.ts).
 *
 * A revoked destination is not asked. With a VM that runs on its source, no job at work, that is the end of it all the same.
 */
export function judgeTruth(source: VmTruth, destination: VmTruth, isRestartable = false): TruthVerdict {
  const from = placeOf(source);
  const to = placeOf(destination);
  if (from === 'running' && isArriving(destination)) return { kind: 'destroy-abandoned-copy' };
  const waiting = reasonToWait(from, to);
  if (waiting !== null) return { kind: 'wait', why: waiting };
  if (from === 'half' || to === 'half') return withHalves(from, to);
  if (from === 'running') return withRunningSource(to);
  if (from === 'halted') return withHaltedSource(to, isRestartable);
  if (from === 'incoming') return withIncomingSource(to);
  if (from === 'given') return withGivenImage(to);
  if (isRestartable && to === 'crashed' && (from === 'absent' || from === 'off'))
    return unclear('ended-on-destination', 'the VM has run on the destination, or may have, and has ended there: it is started again');
  return from === 'fenced' || to === 'fenced' ? withFenced(from, to) : withoutSource(to);
}

function reasonToWait(from: Place, to: Place): string | null {
  if (from === 'unreachable' || to === 'unreachable') return `the ${from === 'unreachable' ? 'source' : 'destination'} is out of reach`;
  if (from === 'excluded') return 'the source is revoked and is not asked';
  if (from === 'moving' || from === 'fetching' || to === 'moving') return 'the hypervisor is still at work';
  if (to === 'fetching' && from !== 'half') return 'the VM runs on the destination and fetches its memory';
  if (from === 'unknown' || to === 'unknown') return `the ${from === 'unknown' ? 'source' : 'destination'} does not know its copy's state`;
  if (from === 'kept') return 'the source has the VM as a saved image, which its agent starts again';
  if (from === 'restoring') return 'the source is starting the VM from an image';
  if (to === 'restoring') return 'the destination is starting the VM from its image';
  if (to === 'kept' || to === 'given') return 'the destination has saved the VM itself';
  if (to === 'excluded' && from !== 'running') return 'the destination is revoked and is not asked';
  if (to === 'fenced' && (from === 'halted' || from === 'incoming' || from === 'given'))
    return 'the destination is silent past its lease: whether the VM has run there is known when it is back';
  return null;
}

/** Of a post-copy it may have half of the memory. */
function isArriving(truth: VmTruth): boolean {
  if (truth.kind !== 'present' || truth.postCopy !== null || !truth.jobActive) return false;
  return truth.state === 'incoming' || truth.state === 'paused';
}

/** A destination that runs and knows of no post-copy has all of the memory; the source did not hear of it. */
function withHalves(from: Place, to: Place): TruthVerdict {
  if (from === 'half' && (to === 'half' || to === 'fetching')) return { kind: 'recover-post-copy' };
  if (from === 'half' && to === 'running') return { kind: 'destroy-source-copy' };
  const [half, other] = from === 'half' ? ['source', 'destination'] : ['destination', 'source'];
  const whole = from === 'half' ? to : from;
  // Its half may be running for as long as it misses nothing.
  if (whole === 'running')
    return unclear('two-copies', 'the source runs the VM, and the destination has half of it: stop that copy by hand now');
  // What is halted there may be all of the VM, or its half after the hypervisor has forgotten about the post-copy.
  if (whole !== 'absent' && whole !== 'off' && whole !== 'crashed' && whole !== 'fenced')
    return { kind: 'wait', why: `the ${half} has half of the VM's memory, and the ${other} does not say what it has` };
  const advice = 'its memory is lost: stop what is left of it and start it anew from its disk';
  return unclear('memory-lost', `the ${half} has one half of the VM's memory and the ${other} nothing of the other: ${advice}`);
}

function withRunningSource(to: Place): TruthVerdict {
  if (to === 'excluded') return { kind: 'on-source', note: 'the destination was not asked: it is revoked' };
  if (to === 'fenced') return { kind: 'on-source', note: 'the destination was not asked: it is silent, and its lease is over' };
  if (to === 'absent' || to === 'off' || to === 'crashed') return { kind: 'on-source', note: null };
  if (to === 'running') return unclear('two-copies', 'the VM runs on both hosts: stop one copy by hand now, its disk may be damaged');
  return { kind: isImage(to) ? 'discard-destination-image' : 'destroy-destination-copy' };
}

function withHaltedSource(to: Place, isRestartable: boolean): TruthVerdict {
  if (to === 'absent' || to === 'off') return { kind: 'resume-source' };
  if (to === 'running') return { kind: 'destroy-source-copy' };
  if (to === 'crashed' && isRestartable) return { kind: 'destroy-older-copy' };
  if (to === 'crashed')
    return unclear(
      'zero-copies',
      'the VM has run on the destination, or may have, and is off there: start it there, its halted copy on the source is older',
    );
  return { kind: isImage(to) ? 'discard-destination-image' : 'destroy-destination-copy' };
}

/** A copy that waits for memory is not the VM, and cannot be started. */
function withIncomingSource(to: Place): TruthVerdict {
  return to === 'running' ? { kind: 'destroy-source-copy' } : { kind: 'wait', why: 'the source waits for the memory of the VM itself' };
}

function withGivenImage(to: Place): TruthVerdict {
  if (to === 'running') return { kind: 'forget-source-image' };
  if (to === 'absent') return { kind: 'take-image-back' };
  if (to === 'offered' || to === 'opened') return { kind: 'discard-destination-image' };
  if (to === 'begun')
    return { kind: 'wait', why: 'the destination began to start the VM from its image, its agent died, and it is not there' };
  if (to === 'halted' || to === 'incoming') return { kind: 'wait', why: 'the destination has the VM but does not run it yet' };
  return unclear('zero-copies', 'the VM was started on the destination and is off there: start it there, its image on the source is older');
}

function withoutSource(to: Place): TruthVerdict {
  if (to === 'running') return { kind: 'on-destination' };
  if (to === 'halted' || to === 'incoming') return { kind: 'wait', why: 'the destination has the VM but does not run it yet' };
  if (isImage(to)) return { kind: 'wait', why: 'the destination has an image of the VM, the source has nothing of it' };
  return unclear('zero-copies', 'the VM runs on neither host: start it by hand where its definition is');
}

function withFenced(from: Place, to: Place): TruthVerdict {
  if (from === 'fenced' && to !== 'fenced' && to !== 'absent' && to !== 'off' && to !== 'crashed') return withoutSource(to);
  const [silent, other] = from === 'fenced' ? ['source', 'destination'] : ['destination', 'source'];
  const where = from === to ? 'both hosts are' : `the ${silent} is`;
  const rest = from === to ? '' : `, and the ${other} does not run it`;
  return unclear(
    'zero-copies',
    `${where} silent for longer than a lease, with which the VM has ended there${rest}: it is to be started again`,
  );
}

function isImage(place: Place): boolean {
  return place === 'offered' || place === 'opened' || place === 'begun';
}

function unclear(code: Refusal['code'], message: string): TruthVerdict {
  return { kind: 'unclear', refusal: { code, message } };
}
