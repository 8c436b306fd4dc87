import { CommanderError } from 'commander';
import { codeOf, describeFailure } from './errors.ts';
import { createProgram } from './program.ts';

/** Runs one command line; the exit code: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted. */
async function main(argv: readonly string[]): Promise<number> {
  try {
    await createProgram().parseAsync(argv);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    // Help, version and wrong usage: commander has written what there is to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${describeFailure(error, Boolean(process.env['PLIMSOLL_DEBUG']))}\n`);
    return exitCodeOf(codeOf(error));
  }
}

function exitCodeOf(code: string): number {
  if (code === 'usage') return 2;
  return code === 'interrupted' ? 130 : 1;
}

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error) => process.exit('code' in error && error.code === 'EPIPE' ? 0 : 1));

process.exit(await main(process.argv));
