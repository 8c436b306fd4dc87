import { describe, expect, it } from 'vitest';
import { JsonLog } from './json-log.ts';
import { SystemClock } from './system-clock.ts';
import { SystemRandom } from './system-random.ts';

describe('SystemClock', () => {
  const clock = new SystemClock();

  it('sleeps at least as long as asked, by its own monotonic time', async () => {
    const startMs = clock.monotonicMs();
    await clock.sleep(20);
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(20);
  });

  it("rejects with the signal's own reason, before and during a sleep", async () => {
    const reason = new Error('stop');
    await expect(clock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const abort = new AbortController();
    const sleeping = clock.sleep(60_000, abort.signal);
    abort.abort(reason);
    await expect(sleeping).rejects.toBe(reason);
  });
});

describe('SystemRandom', () => {
  const random = new SystemRandom();

  it('makes ids of lower-case letters and digits that do not repeat', () => {
    const ids = Array.from({ length: 1000 }, () => random.id());
    expect(new Set(ids).size).toBe(1000);
    expect(ids.every((id) => /^[a-z0-9]{32}$/.test(id))).toBe(true);
  });

  it('makes fractions in [0, 1) that are spread over it', () => {
    const fractions = Array.from({ length: 1000 }, () => random.fraction());
    expect(fractions.every((fraction) => fraction >= 0 && fraction < 1)).toBe(true);
    expect(Math.min(...fractions)).toBeLessThan(0.1);
    expect(Math.max(...fractions)).toBeGreaterThan(0.9);
  });
});

describe('JsonLog', () => {
  it('writes one JSON object per line with level, time, program, message and fields', () => {
    const lines: string[] = [];
    const log = new JsonLog('agent', { hostId: 'a' }, { write: (line) => lines.push(line) });
    log.info('started', { port: 7443, peer: null });
    log.warn('late');
    log.error('lost\nline');
    const [started, late, lost] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(started).toMatchObject({ level: 'info', program: 'agent', hostId: 'a', message: 'started', port: 7443, peer: null });
    expect(started?.['time']).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    expect(late).toMatchObject({ level: 'warn', message: 'late' });
    expect(lost).toMatchObject({ level: 'error', message: 'lost\nline' });
    expect(lines.every((line) => line.trimEnd().split('\n').length === 1)).toBe(true);
  });
});
