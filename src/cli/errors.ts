/**
 * What went wrong, for the operator: a stable code and one sentence that says what to do. The code is either
 * the CLI's own (`usage`, `controller-unreachable`, `controller-ambiguous`, `controller-timeout`,
 * `controller-answer-invalid`, `interrupted`, `child-failed`) or the one the controller answered with.
 */
export class CliError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'CliError';
    this.code = code;
  }
}

/** `plimsoll: <code>: <sentence>` for anything thrown; with its stack and causes only when asked for. */
export function describeFailure(error: unknown, withStack: boolean): string {
  const line = `plimsoll: ${codeOf(error)}: ${error instanceof Error ? error.message : String(error)}`;
  if (!withStack) return line;
  const stacks = causes(error).map((cause) => (cause instanceof Error ? (cause.stack ?? String(cause)) : String(cause)));
  return [line, ...stacks].join('\n');
}

/** Every error class of the project carries its stable code in `code`. */
export function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return 'internal';
}

const causesMax = 8;

function causes(error: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  let current = error;
  while (current !== undefined && chain.length < causesMax) {
    chain.push(current);
    current = current instanceof Error ? current.cause : undefined;
  }
  return chain;
}
