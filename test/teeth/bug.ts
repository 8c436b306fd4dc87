import type { InvariantCode } from '#sim/invariants.ts';

/** A change to the text of one source file, made in memory only. */
export interface Patch {
  readonly name: string;
  /** From the root of the repository. */
  readonly file: string;
  /** Occurs exactly once in the file: a patch that has lost its place is refused, not left out. */
  readonly find: string;
  readonly replace: string;
}

/** A fault that the simulator does not have. In the control arm too it has to break nothing. */
export interface Provocation extends Patch {
  readonly what: string;
}

/** A planted bug: what the product would do wrong, and how that is caught. */
export interface PlantedBug extends Patch {
  /** What the code does wrong with it. */
  readonly what: string;
  /** The invariants that may catch it; when only others break, it is not caught. */
  readonly caughtBy: readonly InvariantCode[];
  /** A schedule that catches it, as `scheduleOf` reads it. */
  readonly schedule: string;
  readonly provocation?: Provocation;
}

/** It cannot be planted: the text is not what it was made for. */
export class PatchRefused extends Error {
  constructor({ name, file }: Patch, why: string) {
    super(`${name} does not fit ${file}: ${why}; fit it to the text as it is now`);
    this.name = 'PatchRefused';
  }
}

/** The file's text, changed. Throws PatchRefused. */
export function patched(patch: Patch, text: string): string {
  const times = patch.find === '' ? 0 : text.split(patch.find).length - 1;
  if (times !== 1) throw new PatchRefused(patch, times === 0 ? 'its text is not found' : `its text is found ${times} times`);
  if (patch.find === patch.replace) throw new PatchRefused(patch, 'it changes nothing');
  // By a function, so that a `$` in the new text is a dollar.
  return text.replace(patch.find, () => patch.replace);
}
