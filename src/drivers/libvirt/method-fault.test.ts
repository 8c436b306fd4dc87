import { describe, expect, it } from 'vitest';

import { exampleOptions } from '#core/migration/forecast-examples.ts';
import { methods, compressions, type TransferOptions } from '#core/model/method.ts';

import { methodFaultOf, since, type HypervisorVersions } from './method-fault.ts';

const debian12: HypervisorVersions = { type: 'QEMU', libvirt: 9_000_000, hypervisor: 7_002_022 };
const newer: HypervisorVersions = { type: 'QEMU', libvirt: 10_000_000, hypervisor: 8_002_000 };
const plain = exampleOptions();
const throttle = { initialPercent: 20, incrementPercent: 10 };

function codeOf(options: Partial<TransferOptions>, versions = debian12): string | null {
  return methodFaultOf({ ...plain, ...options }, versions)?.code ?? null;
}

describe('what libvirt 9.0 and QEMU 7.2 can do', () => {
  it.each<Partial<TransferOptions>>([
    ...methods.map((method) => ({ method })),
    { autoConverge: throttle },
    { streams: 2 },
    { streams: 255, autoConverge: throttle },
    { compression: 'xbzrle', autoConverge: throttle },
    { compression: 'mt' },
    { method: 'hybrid', autoConverge: throttle, compression: 'xbzrle' },
    { bandwidthBytesPerSecond: 1, downtimeMsMax: 0 },
  ])('%o is taken', (options) => {
    expect(codeOf(options)).toBeNull();
  });

  it.each<[Partial<TransferOptions>, string]>([
    [{ streams: 2, compression: 'zlib' }, 'version-unsupported'],
    [{ streams: 2, compression: 'zstd' }, 'version-unsupported'],
    [{ streams: 2, compression: 'mt' }, 'method-unsupported'],
    [{ streams: 2, compression: 'xbzrle' }, 'method-unsupported'],
    [{ streams: 2, method: 'post-copy' }, 'method-unsupported'],
    [{ streams: 2, method: 'hybrid' }, 'method-unsupported'],
    [{ method: 'stop-and-copy', autoConverge: throttle }, 'method-unsupported'],
    [{ method: 'post-copy', autoConverge: throttle }, 'method-unsupported'],
    [{ method: 'post-copy', compression: 'xbzrle' }, 'method-unsupported'],
    [{ method: 'save-restore', compression: 'mt' }, 'method-unsupported'],
    [{ autoConverge: { initialPercent: 0, incrementPercent: 10 } }, 'input-invalid'],
    [{ autoConverge: { initialPercent: 20, incrementPercent: 100 } }, 'input-invalid'],
    [{ streams: 0 }, 'input-invalid'],
    [{ streams: 256 }, 'input-invalid'],
    [{ downtimeMsMax: 2_000_001 }, 'input-invalid'],
    [{ downtimeMsMax: 1.5 }, 'input-invalid'],
    [{ bandwidthBytesPerSecond: -1 }, 'input-invalid'],
    [{ bandwidthBytesPerSecond: Number.NaN }, 'input-invalid'],
  ])('%o is refused as %s', (options, code) => {
    expect(codeOf(options)).toBe(code);
  });
});

describe('other versions', () => {
  it('take zlib and zstd with several streams from libvirt 9.4 on, and never with one', () => {
    const { libvirt } = since.parallelCompression;
    expect(codeOf({ streams: 2, compression: 'zstd' }, { ...newer, libvirt })).toBeNull();
    expect(codeOf({ streams: 2, compression: 'zstd' }, { ...newer, libvirt: libvirt - 1 })).toBe('version-unsupported');
    expect(codeOf({ streams: 1, compression: 'zlib' }, newer)).toBe('method-unsupported');
  });

  it('have no mt compression from QEMU 9.1 on', () => {
    const { qemu } = since.mtGone;
    expect(codeOf({ compression: 'mt' }, { ...newer, hypervisor: qemu - 1 })).toBeNull();
    expect(codeOf({ compression: 'mt' }, { ...newer, hypervisor: qemu })).toBe('version-unsupported');
  });

  it('make no post-copy that they could not recover', () => {
    const old = { ...debian12, libvirt: since.postCopyRecovery.libvirt - 1 };
    expect(codeOf({ method: 'post-copy' }, old)).toBe('version-unsupported');
    expect(codeOf({ method: 'hybrid' }, old)).toBe('version-unsupported');
    expect(codeOf({ method: 'pre-copy' }, old)).toBeNull();
  });

  it('send one stream only before libvirt 5.2', () => {
    expect(codeOf({ streams: 2 }, { ...debian12, libvirt: 5_001_000 })).toBe('version-unsupported');
  });
});

describe('another hypervisor', () => {
  it('moves VMs by plain pre-copy, or as files', () => {
    const xen = { type: 'Xen', libvirt: 9_000_000, hypervisor: 4_017_000 };
    expect(codeOf({}, xen)).toBeNull();
    expect(codeOf({ method: 'save-restore' }, xen)).toBeNull();
    for (const method of ['hybrid', 'post-copy', 'stop-and-copy'] as const) expect(codeOf({ method }, xen)).toBe('method-unsupported');
    expect(codeOf({ streams: 2 }, xen)).toBe('method-unsupported');
  });
});

describe('each refusal', () => {
  it('is a sentence that names what to ask for instead, or what this host has', () => {
    for (const method of methods) {
      for (const compression of compressions) {
        for (const streams of [0, 1, 2]) {
          const fault = methodFaultOf({ ...plain, method, compression, streams }, debian12);
          if (fault !== null) expect(fault.message).toMatch(/ask for|give|this host has/u);
        }
      }
    }
  });
});
