/** The demo's numbers in one place. */
export const story = {
  labName: 'demo',
  /** Four guests on the host that will be driven over its line. */
  placement: { vm1: 'host1', vm2: 'host1', vm3: 'host1', vm4: 'host1', vm5: 'host2', vm6: 'host3' },
  hotHost: 'host1',
  hotGuests: ['vm1', 'vm2', 'vm3', 'vm4'],
  /** What counts as quiet before the story begins. */
  quietCpuPercentMax: 40,
  hotCpuPercent: 28,
  calmCpuPercent: 6,
  dirtyMbPerSecond: 2,
  diskWritesPerSecond: 4,
  planIntervalMs: 3000,
  sampleIntervalMs: 1500,
  smoothingHalfLifeMs: 4000,
  /** A guest beats every 50 ms, and shares two cores with everything else: more than this beyond its downtime is a gap of its own. */
  beatToleranceMs: 500,
  overLineMsMax: 90_000,
  levelMsMax: 150_000,
} as const;
