import { describe, expect, it } from 'vitest';

import { cpuElement } from './host-offer.ts';

describe("a definition's processor", () => {
  it('is cut out as libvirt wrote it', () => {
    const cpu = "<cpu mode='custom' match='exact'><model>qemu64</model><numa><cell cpus='0'/></numa></cpu>";
    expect(cpuElement(`<domain><cputune><shares>9</shares></cputune>${cpu}<clock/></domain>`)).toBe(cpu);
    expect(cpuElement("<domain><cpu mode='host-passthrough'/></domain>")).toBe("<cpu mode='host-passthrough'/>");
  });

  it('is not what others wrote into metadata or comments', () => {
    expect(cpuElement('<domain><metadata><cpu>no</cpu></metadata><!-- <cpu/> --></domain>')).toBeNull();
  });

  it('may be missing', () => {
    expect(cpuElement('<domain><cputune/></domain>')).toBeNull();
  });
});
