import { defineConfig } from 'vitest/config';

const node = { environment: 'node' as const, setupFiles: ['test/laws/seed.ts'] };

/** Suites of `npm run test:security`: too slow for every run. */
const security = [
  'test/e2e/certificates.test.ts',
  'test/e2e/channel-profiles.test.ts',
  'test/e2e/other-channels.test.ts',
  'test/e2e/secrets.test.ts',
  'test/e2e/securing-kills.test.ts',
  'test/e2e/weaker-channels.test.ts',
];

/** Suites of `npm run test:acceptance` alone, beside what it repeats of the end-to-end suites. */
const acceptance = [
  'test/e2e/dead-switch-over.test.ts',
  'test/e2e/post-copy.test.ts',
  'test/e2e/restartable.test.ts',
  'test/e2e/stories.test.ts',
];

export default defineConfig({
  test: {
    // Suites that talk to daemons wait for most of their time.
    maxWorkers: 3,
    projects: [
      // Pure and in-process: runs anywhere, without root.
      {
        test: {
          ...node,
          name: 'unit',
          include: ['src/**/*.test.ts', 'lab/**/*.test.ts', 'test/faults/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts'],
          // For a hang, not for speed: property tests take their time on a busy machine.
          testTimeout: 30_000,
        },
      },
      // The simulator: folders that tell a story, generated schedules, and the bugs that it has to catch.
      {
        test: {
          ...node,
          name: 'scenarios',
          include: ['test/scenarios/**/*.test.ts', 'test/soak/**/*.test.ts', 'test/teeth/**/*.test.ts'],
          testTimeout: 60_000,
        },
      },
      // Driver suites over the wire, against fakes; and against the real daemons where root and the packages are there.
      { test: { ...node, name: 'contract', include: ['test/contract/**/*.test.ts'], testTimeout: 60_000, hookTimeout: 120_000 } },
      // A real lab on this machine: one file at a time, they share two cores.
      {
        test: {
          ...node,
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          exclude: [...security, ...acceptance],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          ...node,
          name: 'acceptance',
          include: acceptance,
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      // The same lab under attack, each attack with its control arm.
      {
        test: {
          ...node,
          name: 'security',
          include: ['test/attacks/**/*.test.ts', ...security],
          testTimeout: 300_000,
          hookTimeout: 300_000,
          fileParallelism: false,
        },
      },
      // Debian hosts in QEMU: the kernel's own ESP and AH. Slow, so not part of `npm test`.
      {
        test: {
          ...node,
          name: 'kernel',
          include: ['test/kernel/**/*.test.ts'],
          globalSetup: ['test/kernel/lab.ts'],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
