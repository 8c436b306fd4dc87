import { describe, expect, it } from 'vitest';

import { PlimsollError } from '#core/model/result.ts';

import { LibvirtError, serverError } from './errors.ts';
import { toPlimsollError } from './refusals.ts';

describe('failures', () => {
  it('keep what the daemon said, under a stable code', () => {
    const error = serverError('DOMAIN_RESUME', { code: 55, domain: 10, level: 2, message: 'domain is already running' });
    expect(error).toMatchObject({ code: 'invalid-state', server: { code: 55, domain: 10 } });
    expect(error.message).toBe('libvirt refused DOMAIN_RESUME: domain is already running (error 55, domain 10)');
    expect(serverError('X', { code: 12_345, domain: 0, level: 2, message: 'new' }).code).toBe('server-error');
  });

  it.each([
    ['connect-failed', 'hypervisor-unavailable'],
    ['connection-lost', 'hypervisor-unavailable'],
    ['deadline-exceeded', 'hypervisor-unavailable'],
    ['malformed-message', 'hypervisor-unavailable'],
    ['aborted', 'aborted'],
    ['job-aborted', 'aborted'],
    ['no-such-vm', 'vm-unknown'],
    ['vm-busy', 'vm-busy'],
    ['migration-unsafe', 'hypervisor-failed'],
    ['server-error', 'hypervisor-failed'],
  ] as const)('%s is %s outside of this folder', (inside, outside) => {
    expect(toPlimsollError(new LibvirtError(inside, 'a sentence'))).toMatchObject({ code: outside, message: 'a sentence' });
  });

  it('of the port pass unchanged, and anything else is hypervisor-failed', () => {
    const known = new PlimsollError('vm-busy', 'a sentence');
    expect(toPlimsollError(known)).toBe(known);
    expect(toPlimsollError(new TypeError('odd'))).toMatchObject({ code: 'hypervisor-failed' });
  });
});
