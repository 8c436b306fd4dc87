export type LabErrorCode =
  | 'lab-not-root'
  | 'lab-prerequisite-missing'
  | 'lab-option-invalid'
  | 'lab-name-in-use'
  | 'lab-unknown'
  | 'lab-unknown-host'
  | 'lab-unknown-guest'
  | 'lab-command-failed'
  | 'lab-timeout'
  | 'lab-aborted'
  | 'lab-image-failed'
  | 'lab-full';

/** A failure of the lab: a stable code and one sentence that says what to do. */
export class LabError extends Error {
  readonly code: LabErrorCode;

  constructor(code: LabErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'LabError';
    this.code = code;
  }
}
