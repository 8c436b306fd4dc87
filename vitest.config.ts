import { defineConfig } from 'vitest/config';

const node = { environment: 'node' as const };

export default defineConfig({
  test: {
    projects: [
      // Pure and in-process: runs anywhere, without root.
      { test: { ...node, name: 'unit', include: ['src/**/*.test.ts', 'lab/**/*.test.ts', 'scripts/**/*.test.ts'] } },
      // Folders that tell a story, in virtual time.
      { test: { ...node, name: 'scenarios', include: ['test/scenarios/**/*.test.ts'] } },
      // Driver suites over the wire, against fakes; and against the real daemons where root and the packages are there.
      { test: { ...node, name: 'contract', include: ['test/contract/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 120_000 } },
      // A real lab on this machine: one file at a time, they share two cores.
      {
        test: {
          ...node,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
