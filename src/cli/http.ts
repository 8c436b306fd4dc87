import { request as httpRequest, type IncomingMessage } from 'node:http';
import { codeOf, CliError } from './errors.ts';

const deadlineMsDefault = 15_000;
const answerBytesMax = 64 * 1024 * 1024;

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON when given. */
  readonly body?: unknown;
  /** For what takes its time; 15 s when absent. */
  readonly deadlineMs?: number;
}

export interface HttpAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * One request over a Unix socket, answered within its deadline and 64 MiB. Throws CliError `controller-unreachable`,
 * `controller-timeout`, `controller-answer-invalid`, or `interrupted` when `signal` was aborted.
 */
export async function requestOver(socketPath: string, request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
  const { deadlineMs = deadlineMsDefault } = request;
  const deadline = AbortSignal.timeout(deadlineMs);
  try {
    const response = await send(socketPath, request, AbortSignal.any([signal, deadline]));
    return { status: response.statusCode ?? 0, text: await textOf(response) };
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    if (signal.aborted) throw new CliError('interrupted', 'stopped before the controller answered', { cause });
    if (deadline.aborted) {
      throw new CliError(
        'controller-timeout',
        `the controller at unix:${socketPath} did not answer within ${deadlineMs / 1000} s: look at its log`,
        {
          cause,
        },
      );
    }
    throw unreachable(socketPath, cause);
  }
}

function send(socketPath: string, request: HttpRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const body = request.body === undefined ? null : JSON.stringify(request.body);
  const bodyHeaders = body === null ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
  return new Promise((resolve, reject) => {
    const call = httpRequest({
      socketPath,
      method: request.method,
      path: request.path,
      headers: { host: 'plimsoll', accept: 'application/json', ...request.headers, ...bodyHeaders },
      agent: false,
      signal,
    });
    call.once('error', reject);
    call.once('response', resolve);
    call.end(body ?? undefined);
  });
}

async function textOf(response: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > answerBytesMax)
      throw new CliError('controller-answer-invalid', `the controller's answer is larger than ${answerBytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}

function unreachable(socketPath: string, cause: unknown): CliError {
  const code = codeOf(cause);
  const advice =
    code === 'EACCES' || code === 'EPERM'
      ? 'only the owner of the socket may use it: run this as root (sudo)'
      : "is the controller running? Start it with 'plimsoll controller run', or name another with --controller unix:/path";
  return new CliError('controller-unreachable', `nothing answers at unix:${socketPath} (${code}): ${advice}`, { cause });
}
