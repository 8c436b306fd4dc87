/**
 * Where a VM is, decided from both hosts. libvirt leaves a crash of the source's daemon after Perform to "a
 * third party": this table is that third party. It is a pure function so that each row is a test.
 */
import type { VmTruth } from '#core/model/migration.ts';
import type { Refusal } from '#core/model/result.ts';

export type TruthVerdict =
  | { readonly kind: 'on-destination' }
  | { readonly kind: 'on-source' }
  | { readonly kind: 'wait'; readonly why: string }
  | { readonly kind: 'resume-source' }
  | { readonly kind: 'destroy-source-copy' }
  | { readonly kind: 'destroy-destination-copy' }
  | { readonly kind: 'unclear'; readonly refusal: Refusal };

type Place = 'unreachable' | 'gone' | 'moving' | 'running' | 'halted';

function placeOf(truth: VmTruth): Place {
  if (truth.kind === 'unreachable') return 'unreachable';
  if (truth.kind === 'absent') return 'gone';
  if (truth.jobActive) return 'moving';
  switch (truth.state) {
    case 'running':
      return 'running';
    case 'paused':
    case 'incoming':
    case 'unknown':
      return 'halted';
    case 'shut-off':
    case 'crashed':
      return 'gone';
    default:
      return truth.state satisfies never;
  }
}

/**
 * | source \ destination | gone          | halted             | running             |
 * |----------------------|---------------|--------------------|---------------------|
 * | running              | on source     | destroy dest. copy | two copies: a person|
 * | halted               | resume source | destroy dest. copy | destroy source copy |
 * | gone                 | zero copies   | wait               | on destination      |
 *
 * A job at work or a host out of reach on either side means wait. Destroying a halted destination copy while
 * the source lives is safe because with QEMU's return path the source gives up only after the destination runs.
 */
export function judgeTruth(source: VmTruth, destination: VmTruth): TruthVerdict {
  const from = placeOf(source);
  const to = placeOf(destination);
  if (from === 'unreachable' || to === 'unreachable') {
    return { kind: 'wait', why: `the ${from === 'unreachable' ? 'source' : 'destination'} is out of reach` };
  }
  if (from === 'moving' || to === 'moving') return { kind: 'wait', why: 'the hypervisor is still at work' };
  if (from === 'running') {
    if (to === 'gone') return { kind: 'on-source' };
    if (to === 'halted') return { kind: 'destroy-destination-copy' };
    return unclear('two-copies', 'the VM runs on both hosts: stop one copy by hand now, its disk may be damaged');
  }
  if (from === 'halted') {
    if (to === 'gone') return { kind: 'resume-source' };
    if (to === 'halted') return { kind: 'destroy-destination-copy' };
    return { kind: 'destroy-source-copy' };
  }
  if (to === 'running') return { kind: 'on-destination' };
  if (to === 'halted') return { kind: 'wait', why: 'the destination has the VM but does not run it yet' };
  return unclear('zero-copies', 'the VM runs on neither host: start it by hand where its definition is');
}

function unclear(code: Refusal['code'], message: string): TruthVerdict {
  return { kind: 'unclear', refusal: { code, message } };
}
