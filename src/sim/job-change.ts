import { PlimsollError } from '#core/model/result.ts';
import type { JobChange } from '#core/ports.ts';
import type { JobRequest } from './job-stream.ts';
import type { JobTimes } from './job-times.ts';
import type { Stage } from './migration-job.ts';
import { timings } from './timings.ts';

/** Why a hypervisor refuses to change a job: `vm-busy` when it is too early or too late, `method-unsupported` when it was not begun for that. */
export function changeFault(
  change: JobChange,
  job: {
    readonly method: JobRequest['options']['method'];
    readonly times: Pick<JobTimes, 'sinceStartMs'>;
    readonly stage: Stage;
    readonly isOver: boolean;
  },
): PlimsollError | null {
  if (change.kind === 'post-copy' && job.method !== 'hybrid' && job.method !== 'post-copy')
    return new PlimsollError('method-unsupported', 'post-copy has to be armed when the migration begins: begin it as hybrid');
  const isTooEarly = change.kind === 'post-copy' && job.times.sinceStartMs < timings.postCopyRefusedMs;
  const fits = job.stage === 'transfer' || (job.stage === 'post-copy' && change.kind === 'bandwidth');
  if (!isTooEarly && fits && !job.isOver) return null;
  return new PlimsollError('vm-busy', `the hypervisor refuses ${change.kind}: it is too ${isTooEarly ? 'early' : 'late'} for it`);
}
