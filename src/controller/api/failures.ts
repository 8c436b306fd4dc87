import type { Log } from '#core/ports.ts';
import { PlimsollError, type RefusalCode } from '#core/model/result.ts';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';

const messageLengthMax = 4096;

/** The HTTP status of every refusal: 400 wrong input, 404 unknown, 409 not now, 410 expired, 503 not reachable, 500 ours. */
const statusOfCode: Readonly<Record<RefusalCode, number>> = {
  aborted: 409,
  'agent-restarted': 503,
  'certificate-expired': 409,
  'channel-failed': 503,
  'clock-skew': 409,
  'command-timeout': 503,
  'config-invalid': 400,
  'controller-replaced': 503,
  'controller-restarted': 503,
  'cool-down': 409,
  'cpu-incompatible': 409,
  'destination-has-vm': 409,
  'destination-same-as-source': 400,
  'device-host-only': 409,
  'disk-not-shared': 409,
  'disk-unreachable': 409,
  'downtime-budget': 409,
  'drain-unknown': 404,
  'grant-invalid': 409,
  'grant-missing': 409,
  'guard-missing': 409,
  'host-down': 503,
  'host-draining': 409,
  'host-exists': 409,
  'host-revoked': 409,
  'host-unknown': 404,
  'hypervisor-failed': 503,
  'hypervisor-unavailable': 503,
  'input-invalid': 400,
  internal: 500,
  'ipsec-failed': 503,
  'ipsec-unavailable': 503,
  'lease-ended': 409,
  'link-lost': 503,
  'lock-held': 409,
  'lock-missing': 409,
  'machine-unsupported': 409,
  'maintenance-active': 409,
  'maintenance-unknown': 404,
  'memory-lost': 409,
  'message-invalid': 400,
  'method-unsupported': 409,
  'migration-failed': 409,
  'migration-limit': 409,
  'migration-stalled': 409,
  'migration-unknown': 404,
  'mode-forbids': 409,
  'network-missing': 409,
  'no-cpu': 409,
  'no-memory': 409,
  'not-converging': 409,
  'not-in-maintenance': 409,
  'plain-text-seen': 409,
  'plan-applied': 409,
  'plan-empty': 409,
  'plan-expired': 410,
  'plan-rejected': 409,
  'plan-unknown': 404,
  'post-copy-broken': 409,
  'post-copy-not-allowed': 409,
  'profile-refused': 409,
  'profile-unsupported': 409,
  'proof-failed': 409,
  'proof-missing': 409,
  'receipt-unknown': 404,
  'rule-exists': 409,
  'rule-forbids': 409,
  'rule-unknown': 404,
  'stale-epoch': 409,
  'switch-over-stalled': 409,
  'ticket-expired': 410,
  'ticket-invalid': 409,
  'ticket-used': 409,
  'token-expired': 410,
  'token-invalid': 400,
  'truth-unknown': 503,
  'two-copies': 409,
  'version-unsupported': 409,
  'vm-ambiguous': 409,
  'vm-busy': 409,
  'vm-not-running': 409,
  'vm-unknown': 404,
  'zero-copies': 409,
  'ended-on-destination': 409,
};

/** Agents and stored records may have codes of other versions. */
export function isRefusalCode(code: string): code is RefusalCode {
  return Object.hasOwn(statusOfCode, code);
}

interface Failure {
  readonly status: number;
  readonly code: RefusalCode;
  readonly message: string;
}

/** Answers every failure as `{code, message}`; what nobody expected is logged and not shown. */
export function failureHandler(log: Log) {
  return async (error: FastifyError | Error, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const failure = failureOf(error);
    if (failure.status === 500) {
      log.error('api request failed', {
        method: request.method,
        route: request.routeOptions.url ?? 'unknown',
        error: error.stack ?? error.message,
      });
    }
    return reply.code(failure.status).send({ code: failure.code, message: failure.message.slice(0, messageLengthMax) });
  };
}

/** Answers a path or method that does not exist. */
export async function answerNotFound(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const message = `there is no ${request.method} ${request.url.slice(0, 200)}: GET /v1/openapi.json lists what there is`;
  return reply.code(404).send({ code: 'input-invalid' satisfies RefusalCode, message });
}

function failureOf(error: FastifyError | Error): Failure {
  if (error instanceof PlimsollError) return { status: statusOfCode[error.code], code: error.code, message: error.message };
  if ('code' in error && error.code === 'FST_ERR_HANDLER_TIMEOUT') {
    return {
      status: 503,
      code: 'command-timeout',
      message: "the controller took too long to answer: ask again, and look at the controller's log",
    };
  }
  const status = 'statusCode' in error ? (error.statusCode ?? 500) : 500;
  // Fastify's own refusals of a request: malformed JSON, too large, a media type that is not JSON.
  if (status >= 400 && status < 500) return { status, code: 'input-invalid', message: `the request cannot be read: ${error.message}` };
  return { status: 500, code: 'internal', message: 'the controller failed to answer: its log says why' };
}
