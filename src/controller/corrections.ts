/** How each correction of a copy is ordered from the agents. */
import type { Correction } from '#core/migration/truth.ts';
import type { CommandArgs } from '#wire/agent-protocol.ts';

type CorrectionName = 'vm.resume' | 'vm.destroy-copy' | 'image.discard' | 'image.take-back' | 'image.forget';

export type CopyCorrection = Exclude<Correction, 'recover-post-copy'>;

/** Where each correction is made, by which command, and why. */
export const corrections: Readonly<
  Record<CopyCorrection, { readonly on: 'source' | 'destination'; readonly name: CorrectionName; readonly why: string }>
> = {
  'resume-source': {
    on: 'source',
    name: 'vm.resume',
    why: 'the VM is halted on its source, and its destination has no copy of it: it is resumed',
  },
  'destroy-source-copy': {
    on: 'source',
    name: 'vm.destroy-copy',
    why: 'the VM runs on its destination: the halted copy on its source is removed',
  },
  'destroy-older-copy': {
    on: 'source',
    name: 'vm.destroy-copy',
    why: 'the VM has run on its destination, or may have, and has ended there: the older copy on its source is removed, so that the VM can be started anew',
  },
  'destroy-destination-copy': {
    on: 'destination',
    name: 'vm.destroy-copy',
    why: 'the source keeps the VM: the halted copy on the destination is removed',
  },
  'destroy-abandoned-copy': {
    on: 'destination',
    name: 'vm.destroy-copy',
    why: 'the source runs the VM and sends nothing: the copy that still waits for it on the destination is removed',
  },
  'discard-destination-image': {
    on: 'destination',
    name: 'image.discard',
    why: 'the destination has not started the VM from its image: that image is thrown away',
  },
  'take-image-back': {
    on: 'source',
    name: 'image.take-back',
    why: 'the destination has nothing of the VM that was given to it: the source starts it again from its image',
  },
  'forget-source-image': { on: 'source', name: 'image.forget', why: 'the VM runs on its destination: its image on the source is removed' },
};

/** All of the VM runs on the other host, or the other host runs it and sends nothing. */
export function evenOf(correction: CopyCorrection): CommandArgs<'vm.destroy-copy'>['even'] {
  if (correction === 'destroy-source-copy') return 'half';
  return correction === 'destroy-abandoned-copy' ? 'arriving' : null;
}
