import { printCheck, printVmCheck } from '#cli/check-printer.ts';
import { historyCsv, printHistory } from '#cli/history-printer.ts';
import { happened } from '#cli/measures-printer.ts';
import { methodOf, outcomeLine, printMigration, progressLine } from '#cli/migration-printer.ts';
import { decisionLine, optionsText, pilotText, wishText } from '#cli/transfer-printer.ts';
import { pastTransferOf } from '#core/migration/calibration.ts';
import { pilotPolicyOf } from '#core/model/policy.ts';
import type { MigrationResource } from '#wire/api.ts';
import { describe, expect, test } from 'vitest';
import { check, copying, done, failed, nowMs } from './resources.ts';
import {
  measured,
  plannedCheck,
  possibleRow,
  prediction,
  predictionErrors,
  raised,
  refusedRow,
  steered,
  transferPlan,
  vmCheck,
} from './transfer-resources.ts';

const withProgress = (changed: Partial<NonNullable<MigrationResource['progress']>>, from = steered): MigrationResource => ({
  ...from,
  progress: from.progress === null ? null : { ...from.progress, ...changed },
});

describe('the line of progress', () => {
  test('has phase, remaining, rate against dirty rate, throttle, predicted end and downtime', () => {
    expect(progressLine(steered, nowMs)).toBe(
      'db: host-a -> host-b  copying  75 %  128 MiB remaining  48.0 MiB/s, dirtied 1.00 MiB/s  slowed by 20 %  ends in ~5.0 s  downtime ~180 ms  4.2 s',
    );
  });

  test('fits into any terminal: shorter words first, then the least important is left out', () => {
    expect(progressLine(steered, nowMs, 120)).toBe(
      'db  copying  75 %  128 MiB left  48.0 MiB/s, dirtied 1.00 MiB/s  slowed by 20 %  ends in ~5.0 s  down ~180 ms  4.2 s',
    );
    expect(progressLine(steered, nowMs, 79)).toBe('db  copying  128 MiB left  48.0 MiB/s, dirtied 1.00 MiB/s  ends in ~5.0 s');
    for (let columns = 40; columns < 160; columns += 1) expect(progressLine(steered, nowMs, columns).length).toBeLessThanOrEqual(columns);
    expect(progressLine(steered, nowMs, 5)).toBe('db  copying');
  });

  test('says where the VM is while it stands still or has its memory on both hosts', () => {
    expect(progressLine(withProgress({ stage: 'stopped' }), nowMs)).toContain('copying (VM stopped)');
    expect(progressLine(withProgress({ stage: 'post-copy' }), nowMs)).toContain('copying (post-copy)');
    expect(progressLine(withProgress({ stage: 'post-copy-failed' }), nowMs)).toContain('copying (post-copy broken, VM halted)');
    expect(progressLine(withProgress({ stage: 'post-copy' }), nowMs)).not.toContain('downtime');
  });

  test('its end: by the prediction, late when it is late; without one by what remains', () => {
    expect(progressLine(steered, steered.phaseSinceMs + 9000)).toContain('should end now');
    expect(progressLine(steered, steered.phaseSinceMs + 12_000)).toContain('4.0 s later than predicted');
    expect(progressLine(copying, nowMs)).toContain('ends in ~2.7 s');
    expect(progressLine(withProgress({ dirtyPagesPerSecond: 1e6 }, copying), nowMs)).toContain('does not shrink');
    expect(progressLine(withProgress({ bandwidthBytesPerSecond: null }, copying), nowMs)).not.toContain('ends');
  });

  test('a migration that is over has nothing remaining', () => {
    expect(progressLine(done, nowMs)).toBe('db: host-a -> host-b  done  4.2 s');
    expect(progressLine({ ...steered, phase: 'resolving' }, nowMs)).toBe('db: host-a -> host-b  resolving  4.2 s');
  });
});

test('options, ladder and wish in words', () => {
  expect(optionsText(transferPlan.options)).toBe('pre-copy, downtime limit 300 ms');
  expect(
    optionsText({
      method: 'hybrid',
      autoConverge: { initialPercent: 20, incrementPercent: 10 },
      streams: 4,
      compression: 'zstd',
      bandwidthBytesPerSecond: 50 * 1024 ** 2,
      downtimeMsMax: 500,
    }),
  ).toBe('hybrid, slowed down from 20 % in steps of 10 %, 4 streams, zstd, at most 50.0 MiB/s, downtime limit 500 ms');
  expect(pilotText(pilotPolicyOf('gentle'))).toBe('gentle: raise the downtime limit to 500 ms; give up, the VM stays');
  const mustMove = pilotPolicyOf('must-move');
  expect(pilotText(mustMove)).not.toContain('post-copy');
  expect(pilotText({ ...mustMove, allowPostCopy: true })).toContain('; post-copy; stop the VM for 30.0 s at most; give up');
  expect(wishText({ method: 'auto' })).toBeNull();
  expect(wishText({ method: 'post-copy', autoConverge: false, streams: 1, bandwidthBytesPerSecond: 0, downtimeMsMax: 100 })).toBe(
    'post-copy, no auto-converge, 1 stream, no bandwidth cap, downtime limit 100 ms',
  );
});

describe('a migration with all that is known of it', () => {
  const text = printMigration(measured, nowMs);

  test.each([
    [
      'its plan',
      /if that does not end: balanced: raise the downtime limit to 1\.0 s; begin again with xbzrle; slow the VM down from 20 %; give up/,
    ],
    ['prediction against outcome: total', /total time +8\.0 s +6\.8 s to 9\.9 s +7\.9 s +\+1\.3 %/],
    ['prediction against outcome: downtime', /downtime +200 ms +120 ms to 330 ms +251 ms +-20 %/],
    [
      'what the prediction was made from',
      /The VM uses 480 MiB and writes 1\.50 MiB\/s, to 12\.0 MiB again and again .* Corrected by 3 earlier migrations\./,
    ],
    ['decisions before', /before +start pre-copy: it is predicted to end/],
    ['decisions during the transfer', /\+2\.0 s +raise downtime to 1000 ms: the rest has not fallen for 15 s/],
    ['downtime by the hypervisor', /downtime: +251 ms \(the hypervisor's word\)/],
    ['downtime from outside', /from outside: +262 ms \(host-c asked 10\.0\.0\.5 every 5 ms: 1545 of 1600 answered\)/],
    ['brownout', /brownout: +75 ms; answers took 0\.41 ms \(median\), 15 ms \(99 of 100\)/],
    ['bytes and packets', /in IPsec: +576 MiB in 400000 packets/],
    ['CPU of the source', /CPU on host-a: +hypervisor 2\.50 s, IPsec 6\.25 s, agent 0\.18 s/],
    ['CPU of the destination', /CPU on host-b: +hypervisor 1\.75 s, IPsec -, agent 0\.11 s/],
    ['what was found', /source clean: +yes/],
    ['what is wrong', /disks locked once: +NO/],
    ['what could not be looked at', /answers: +could not be looked at/],
    ['troubles', /! the lease of vda is not held by host-b/],
    ['where the receipt is', /receipt: +plimsoll receipt show m-1/],
  ])('shows %s', (_what, expected) => {
    expect(text).toMatch(expected);
  });

  test('does not say the same twice', () => {
    expect(text.match(/memory sent:/g)).toHaveLength(1);
    expect(text).not.toMatch(/^iterations/m);
  });

  test('one that failed is not compared with its prediction', () => {
    const stayed = printMigration({ ...failed, plan: transferPlan }, nowMs);
    expect(stayed).toContain('Prediction:');
    expect(stayed).not.toContain('OFF BY');
  });

  test('text from elsewhere commands no terminal', () => {
    const evil = '\u001b[2J';
    const hostile: MigrationResource = {
      ...measured,
      plan: { ...transferPlan, reason: evil },
      decisions: [{ ...raised, action: evil, reason: evil }],
      measures: measured.measures && {
        ...measured.measures,
        arrival: measured.measures.arrival && { ...measured.measures.arrival, troubles: [evil] },
      },
    };
    expect(printMigration(hostile, nowMs)).not.toContain('\u001b');
    expect(decisionLine({ ...raised, action: evil, reason: evil })).not.toContain('\u001b');
    const found = possibleRow.findings.map((finding) => ({ ...finding, sentence: evil }));
    expect(printVmCheck({ ...vmCheck, vmName: evil, rows: [{ ...possibleRow, findings: found }] })).not.toContain('\u001b');
    expect(printCheck({ ...plannedCheck, vmName: evil, reason: evil })).not.toContain('\u001b');
    expect(historyCsv([{ ...hostile, request: { ...hostile.request, vmName: evil } }])).not.toContain('\u001b');
  });
});

test('what happened is what the controller compares predictions with', () => {
  const stopped = { ...transferPlan, options: { ...transferPlan.options, method: 'stop-and-copy' as const } };
  const blind = measured.measures && { ...measured.measures, outside: null };
  for (const migration of [
    measured,
    { ...measured, measures: null },
    { ...measured, plan: stopped },
    { ...measured, plan: stopped, measures: blind },
    { ...measured, plan: stopped, measures: null },
  ]) {
    const past = pastTransferOf(migration);
    expect(past).not.toBeNull();
    expect(happened(migration)).toMatchObject({ totalMs: past?.totalMs, downtimeMs: past?.downtimeMs, bytes: past?.bytes });
  }
});

test('the outcome line has the downtime from outside too; the method is not known of one that ended before it was chosen', () => {
  expect(outcomeLine(measured, nowMs)).toContain('downtime 251 ms (262 ms from outside).');
  expect([copying, steered, measured, failed].map(methodOf)).toEqual(['auto', 'pre-copy', 'pre-copy', '-']);
});

describe('a dry run', () => {
  test('says what warns, how and why it would be moved, and what that would cost', () => {
    const text = printCheck(plannedCheck);
    expect(text).toContain('Checks: 2 of 5 passed');
    expect(text).toMatch(/clock +warn +the clock of host-b/);
    expect(text).not.toContain('host-b is up.');
    expect(text).toContain('It would be moved by pre-copy:\n  db writes 1.5 MiB/s');
    expect(text).toMatch(/total time +8\.0 s +6\.8 s to 9\.9 s$/m);
    expect(text).toMatch(/rounds +4$/m);
    expect(text).toMatch(/before +start pre-copy/);
    expect(text).toMatch(/Nothing speaks against it but 2 warnings\. Nothing was moved\.$/);
  });

  test('says when the cost is not known, and what a transfer that cannot end by itself is', () => {
    expect(printCheck({ ...plannedCheck, plan: { ...transferPlan, prediction: null } })).toContain('What that would cost is not known');
    const endless = { ...transferPlan, prediction: { ...prediction, converges: false, correctedBy: 0 } };
    expect(printCheck({ ...plannedCheck, plan: endless })).toContain('Pre-copy alone would not come to an end within the downtime limit.');
  });

  test('that is refused says why, once', () => {
    const sentence = refusedRow.findings.find(({ verdict }) => verdict === 'refuse')?.sentence ?? '';
    const refused = { ...check, row: refusedRow, refusal: { code: 'no-memory' as const, message: sentence } };
    expect(printCheck(refused)).toMatch(/It would be refused: no-memory, see above\. Nothing was moved\.$/);
    expect(printCheck(refused).split(sentence)).toHaveLength(2);
    expect(printCheck({ ...refused, row: null })).toContain(`It would be refused: no-memory: ${sentence}`);
  });
});

describe('why can this VM not go there', () => {
  test('several hosts: a matrix, then each refusal, warning and unknown once', () => {
    expect(printVmCheck(vmCheck).split('\n')).toEqual([
      'CHECK     host-b  host-c  host-d',
      'host      ok      ok      NO',
      'clock     warn    ok      -',
      'memory    ok      NO      -',
      'disks     ?       ?       -',
      'locks     warn    warn    -',
      'POSSIBLE  yes     NO      NO',
      '',
      '      CHECK   HOST            WHY',
      'NO    host    host-d          host-down: host-d is not connected: start its agent.',
      'NO    memory  host-c          no-memory: host-c has 0.2 GiB free, web1 needs 0.5 GiB: free memory there, or choose another host.',
      'warn  clock   host-b          the clock of host-b is 1.9 s ahead: synchronise it.',
      'warn  locks   host-b, host-c  nothing stops this VM from being started twice: give it a lease.',
      '?     disks   host-b, host-c  vda cannot be looked at from outside of the VM.',
      '',
      'web1 on host-a can go to host-b.',
    ]);
  });

  test('in a narrow terminal: as many tables as it takes, no host lost', () => {
    const text = printVmCheck(vmCheck, 28);
    expect(text.split('\n').filter((line) => line.startsWith('CHECK'))).toEqual(['CHECK     host-b  host-c', 'CHECK     host-d']);
    expect(
      printVmCheck(vmCheck, 1)
        .split('\n')
        .filter((line) => line.startsWith('CHECK')),
    ).toHaveLength(3);
  });

  test('what is true of all hosts is said of all', () => {
    expect(printVmCheck({ ...vmCheck, rows: [possibleRow, refusedRow] })).toMatch(/warn +locks +all 2 +nothing stops/);
  });

  test('one host: every check with its sentence', () => {
    expect(printVmCheck({ ...vmCheck, rows: [refusedRow] })).toMatch(/^memory +NO +no-memory: host-c has 0\.2 GiB free/m);
    expect(printVmCheck({ ...vmCheck, rows: [refusedRow] })).toMatch(/web1 cannot go from host-a to host-c: 1 check refuses it\.$/);
    expect(printVmCheck({ ...vmCheck, rows: [possibleRow] })).toMatch(/web1 can go from host-a to host-b\.$/);
  });

  test('nowhere to go, and no other host', () => {
    expect(printVmCheck({ ...vmCheck, rows: [refusedRow, { ...refusedRow, hostId: 'host-e' }] })).toContain('cannot go anywhere now.');
    expect(printVmCheck({ ...vmCheck, rows: [] })).toBe('web1 runs on host-a, and there is no other host.');
  });
});

describe('history', () => {
  const lost: MigrationResource = { ...failed, failure: { code: 'truth-unknown', message: 'host-b does not answer' } };

  test('one line each, how they ended, and how far predictions were off', () => {
    expect(printHistory([measured, lost, failed], predictionErrors, 100).split('\n')).toEqual([
      'ASKED                 MIGRATION  VM  FROM    TO      METHOD    OUTCOME                  TOTAL  OFF BY  DOWNTIME  OFF BY  OUTSIDE     SENT  ROUNDS',
      '2026-01-31 14:05:04Z  m-1        db  host-a  host-b  pre-copy  moved                    7.9 s  +1.3 %    251 ms   -20 %   262 ms  540 MiB       4',
      '2026-01-31 14:05:04Z  m-1        db  host-a  host-b  -         UNCLEAR (truth-unknown)      -       -         -       -        -        -       -',
      '2026-01-31 14:05:04Z  m-1        db  host-a  host-b  -         stayed (aborted)             -       -         -       -        -        -       -',
      '',
      '3 migrations: 1 moved (33 %), 1 stayed, 1 UNCLEAR: look at them.',
      'Predictions were off by 8.2 % in total time and 22 % in downtime (median over the newest 17 migrations with a prediction).',
    ]);
  });

  test('a list that is full says how to see older ones; an empty one says so', () => {
    expect(printHistory([measured], predictionErrors, 1)).toContain("older ones: plimsoll history --until '2026-01-31 14:05:04Z'");
    const nothing = { migrations: 0, totalPercent: null, downtimePercent: null };
    expect(printHistory([], nothing, 1)).toBe(
      'No migration that ended is like that.\n\nNo prediction could be compared with what happened yet.',
    );
  });

  test('as CSV: every record has every column, figures in the units of their titles', () => {
    const [head = '', first = '', second = ''] = historyCsv([measured, lost]).split('\r\n');
    const titles = head.split(',');
    const valueOf = (line: string, title: string) => line.split(',')[titles.indexOf(title)];
    expect([first, second].map((line) => line.split(',').length)).toEqual([titles.length, titles.length]);
    expect(
      ['outcome', 'method', 'total_ms', 'downtime_outside_ms', 'source_ipsec_cpu_s', 'predicted_total_ms'].map((title) =>
        valueOf(first, title),
      ),
    ).toEqual(['moved', 'pre-copy', '7900', '262', '6.25', '8000']);
    expect(['outcome', 'failure_code', 'method', 'total_ms'].map((title) => valueOf(second, title))).toEqual([
      'unclear',
      'truth-unknown',
      '',
      '',
    ]);
  });

  test('as CSV: a VM whose name is a formula stays a text', () => {
    const named = { ...measured, request: { ...measured.request, vmName: '=HYPERLINK("http://evil")' } };
    expect(historyCsv([named])).toContain(`,"'=HYPERLINK(""http://evil"")",`);
  });
});
