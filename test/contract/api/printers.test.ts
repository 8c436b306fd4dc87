import { printBalance } from '#cli/balance-printer.ts';
import { printChannel, printChannels, printProve, printTune } from '#cli/channel-printer.ts';
import { printCheck } from '#cli/check-printer.ts';
import { printHost, printHosts, printToken } from '#cli/host-printer.ts';
import { outcomeLine, printMigration, printMigrations, progressLine } from '#cli/migration-printer.ts';
import { printPlan } from '#cli/plan-printer.ts';
import { printReceipt } from '#cli/receipt-printer.ts';
import { printAudit, printCertificates, printGrant, printGrants, printRevocation } from '#cli/security-printer.ts';
import { printStatus } from '#cli/status-printer.ts';
import { printVm, printVms } from '#cli/vm-printer.ts';
import { expect, test } from 'vitest';
import {
  auditEntry,
  balance,
  certificate,
  channel,
  check,
  copying,
  done,
  failed,
  grant,
  hostA,
  hostB,
  nowMs,
  plan,
  proven,
  receipt,
  revocation,
  status,
  token,
  tuned,
  vmDatabase,
  vmWeb,
} from './resources.ts';
import { measured, vmSettings } from './transfer-resources.ts';

test('hosts: figures to the right, what is not known a dash', () => {
  expect(printHosts([hostA, hostB], nowMs).split('\n')).toEqual([
    'HOST    STATUS   CPU         CORES  MEMORY                  USED  PRESSURE  VMS  LINE               CERTIFICATE  SAMPLE',
    'host-a  up      95 %  1.90 of 2.00    38 %  1.50 GiB of 4.00 GiB      31 %    2  over for 3 rounds  16 h left    2.4 s ago',
    'host-b  joined     -             -       -                     -         -    0  below              -            never',
  ]);
  expect(printHosts([], nowMs)).toBe("No host has joined yet: 'plimsoll host token HOST' makes a token for one.");
});

test('one host', () => {
  expect(printHost(hostA, nowMs).split('\n')).toEqual([
    'host:              host-a',
    'status:            up',
    'joined:            2026-01-31 13:05:09Z',
    'last sample:       2.4 s ago (120 accepted, 1 rejected: 1 too-old)',
    'load line:         over for 3 rounds',
    'CPU:               95 % (1.90 of 2.00 cores)',
    'memory:            38 % (1.50 GiB of 4.00 GiB)',
    'pressure:          CPU 31 %, memory 0.0 %, I/O 2.3 %',
    'stolen CPU:        0.04 cores',
    'network:           3.00 KiB/s in, 12.0 MiB/s out',
    'disks:             0 B/s read, - written',
    'VMs:               2',
    'underlay address:  10.0.0.1',
    'protected address: 10.79.0.1',
    'interface:         eth0',
    'hypervisor:        QEMU 7.2.22',
    'IPsec:             strongSwan 5.9.8',
    'certificate:       16 h left',
    `fingerprint:       sha256:${'ab'.repeat(32)}`,
    "clock:             12 ms behind the controller's",
    'guard:             installed',
  ]);
  const quarantine = {
    code: 'cpu-contradicts',
    message: 'its VMs use 2 cores, the host says 0',
    sinceMs: nowMs - 61_000,
    cleanSamplesLeft: 4,
  };
  const doubted = { ...hostA, quarantine };
  expect(printHost(doubted, nowMs)).toContain(
    'not believed:      since 1 min 1 s ago: its VMs use 2 cores, the host says 0; again after 4 clean samples in a row',
  );
  expect(printHosts([doubted], nowMs)).toContain('quarantined');
  const revoked = printHost({ ...hostA, status: 'revoked', revokedAtMs: nowMs, guardInstalled: false }, nowMs);
  expect(revoked).toContain('revoked:           2026-01-31 14:05:09Z');
  expect(revoked).toContain('NOT INSTALLED');
});

test('a token comes with the command that uses it', () => {
  expect(printToken(token).split('\n').slice(-3, -1)).toEqual([
    'On host-c run once, before the token expires:',
    '  plimsoll host join --token-file - --ca-fingerprint sha256:0123',
  ]);
});

test('VMs, and one VM', () => {
  expect(printVms([vmWeb, vmDatabase]).split('\n')).toEqual([
    'VM    HOST    STATE    VCPUS  CORES USED   MEMORY  MIGRATION  UUID',
    'web1  host-a  running      2        1.25  512 MiB  -          11111111-2222-4333-8444-555555555555',
    'db    host-a  running      2        0.65  512 MiB  m-1        99999999-2222-4333-8444-555555555555',
  ]);
  expect(printVm({ ...vmWeb, settings: { ...vmSettings, address: null } })).toMatch(
    /\nmigration: {4}none under way\naddress: {6}not set: .+\nrestartable: {2}no\nclass: {8}standard\ntenant: {7}not set\nlabels: {7}none$/,
  );
});

test('a VM with a forecast, and one without', () => {
  const lines = [
    'forecast:     1.10 cores in the next 30 min, nine times in ten at most 1.80 (confidence 84 %)',
    'usually:      0.90 cores in the last hours, give or take 0.40',
  ];
  expect(printVm({ ...vmWeb, settings: vmSettings })).toContain(lines.join('\n'));
  expect(printVm({ ...vmDatabase, settings: vmSettings })).toContain('forecast:     none yet');
});

test('how balancing stands', () => {
  expect(printBalance(balance, nowMs).split('\n')).toEqual([
    'mode:          observe (plans, moves nothing)',
    'plan:          p-2, 12.0 s ago: moves, 1 move. host-a is over its CPU line.',
    'over the line: 1 of 3 hosts: host-a (3 rounds)',
    'quarantined:   1',
    'samples:       240 accepted, 3 rejected: 1 too-old, 2 cpu-contradicts',
    'forecast:      10 of 12 VMs, 30 min ahead; 7 with a confidence of 50 % or more, 2 with a known day',
    'hit rate:      91 % below the high figure, 90 % promised',
    'error:         48 % of that of "it stays as it is"',
    '',
    'Not believed, neither source nor target:',
    '  host-c: its VMs use 2 cores, the host says 0 (cpu-contradicts, since 1 min 1 s ago; again after 4 clean samples in a row)',
  ]);
  const forecast = { ...balance.forecast, vms: 0, confidentVms: 0, seasonalVms: 0, hitPercent: null, errorOfNaivePercent: null };
  const young = printBalance({ ...balance, plan: null, overLine: [], quarantined: [], forecast }, nowMs);
  expect(young).toContain('plan:          none yet, one each 10.0 s\nover the line: none of 3 hosts\nquarantined:   none\n');
  expect(young).toMatch(/hit rate: {6}not known yet\nerror: {9}not known yet$/);
});

test('a VM whose name holds escape codes cannot command the terminal', () => {
  expect(printVms([{ ...vmWeb, name: 'x\u001b]0;owned\u0007' }])).not.toMatch(/\p{Cc}(?<!\n)/u);
  expect(printPlan({ ...plan, summary: 'a\u001b[2Jb' }, nowMs)).not.toContain('\u001b');
});

test('a plan: numbered moves with scores, loads and reasons, then what was skipped', () => {
  expect(printPlan(plan, nowMs).split('\n')).toEqual([
    'Plan p-2: moves, 1 move, score 12.40 -> 3.10',
    '  host-a is over its CPU line; one move brings it below.',
    '  made 12.0 s ago, expires in 9 min 48 s, after plan p-1',
    '',
    '  1. web1: host-a -> host-b   score 12.40 -> 3.10',
    '     host-a is at 95 % CPU for 3 rounds (line 80 %); host-b is the least loaded that fits.',
    '     host-a: CPU 95 % -> 33 %, memory 38 % -> 25 %',
    '     host-b: CPU 5.0 % -> 68 %, memory 10 % -> 23 %',
    '',
    'Skipped:',
    '  HOST    VM            BECAUSE       REASON',
    '  host-a  db            cool-down     moved 4 minutes ago; may move again in 26 minutes.',
    '  host-c  (whole host)  stale-sample  its newest sample is 40 s old.',
    '',
    'Apply it with: plimsoll plan apply p-2',
  ]);
});

test('an expired plan is not offered, one without moves has nothing to apply', () => {
  const cost = {
    bytes: 5 * 2 ** 30,
    bytesBy: 'activity',
    durationMs: 42_300,
    downtimeMs: 180,
    slaClass: 'critical',
    priceCoreSeconds: 400,
    savedCoreSeconds: 812.4,
  } as const;
  const priced = { ...plan, moves: plan.moves.map((move) => ({ ...move, cost })) };
  expect(printPlan(priced, nowMs)).toContain(
    '     cost: sends about 5.00 GiB; takes about 42.3 s; stops it for about 180 ms; saves 812 core-seconds, price 400 core-seconds; class critical\n',
  );
  const unknown = {
    ...cost,
    bytesBy: 'memory',
    durationMs: null,
    downtimeMs: null,
    priceCoreSeconds: null,
    savedCoreSeconds: null,
  } as const;
  const unpriced = { ...plan, moves: plan.moves.map((move) => ({ ...move, cost: { ...unknown, slaClass: 'standard' } })) };
  expect(printPlan(unpriced, nowMs)).toContain(
    '     cost: sends about 5.00 GiB (all its memory once); no channel was measured yet; class standard\n',
  );
  expect(printPlan(plan, plan.expiresAtMs)).toContain("This plan has expired: 'plimsoll plan new' makes a fresh one.");
  expect(printPlan(plan, plan.expiresAtMs)).not.toContain('plan apply');
  expect(
    printPlan({ ...plan, verdict: 'balanced', moves: [], skipped: [], summary: 'No host is over its line.' }, nowMs).split('\n'),
  ).toEqual([
    'Plan p-2: balanced, 0 moves, score 12.40 -> 3.10',
    '  No host is over its line.',
    '  made 12.0 s ago, expires in 9 min 48 s, after plan p-1',
  ]);
});

test('migrations', () => {
  expect(printMigrations([copying, measured, failed], nowMs).split('\n')).toEqual([
    'MIGRATION  VM  FROM    TO      METHOD    PHASE              DONE   TOOK  DOWNTIME  ASKED BY  ASKED',
    'm-1        db  host-a  host-b  auto      copying            75 %  4.2 s         -  alice     4.2 s ago',
    'm-1        db  host-a  host-b  pre-copy  done              100 %  4.2 s    251 ms  alice     4.2 s ago',
    'm-1        db  host-a  host-b  -         failed (aborted)   75 %  4.2 s         -  alice     4.2 s ago',
  ]);
});

test('a migration under way: what remains, rates and the proof of its channel', () => {
  expect(printMigration(copying, nowMs).split('\n')).toEqual([
    'migration:         m-1',
    'VM:                db (99999999-2222-4333-8444-555555555555)',
    'from:              host-a',
    'to:                host-b',
    'asked:             2026-01-31 14:05:04Z by alice',
    'phase:             copying for 3.0 s; channel proven 1.1 s after it was asked for',
    'took:              4.2 s',
    'copied:            75 %, 128 MiB of 512 MiB remaining',
    'rate:              48.0 MiB/s, dirtied 1.00 MiB/s',
    'iteration:         2',
    'expected downtime: 180 ms',
    'forecast:          ends in ~2.7 s',
    'channel:           esp-tunnel: AES_GCM_16-256, CURVE_25519, 64-bit sequence numbers, tunnel mode, proven 2026-01-31 14:05:05Z',
    'peers:             authenticated by certificates sha256:abababababababab and sha256:cdcdcdcdcdcdcdcd; with a post-quantum pre-shared key in their keys (RFC 8784)',
    'SPIs:              c0ffee02 out, c0ffee01 back',
    'proof:             8 probes crossed inside, 8 plain-text probes dropped',
    'packet sizes:      path MTU 4000, MSS 1406 -> 3906, MTU 1500 -> 4000, limited by path',
  ]);
});

test('a migration that ended: downtime, bytes in ESP against memory sent, or the failure', () => {
  const text = printMigration(done, nowMs);
  expect(text).toMatch(/phase: +done at 2026-01-31 14:05:09Z/);
  expect(text).toMatch(/downtime: +251 ms/);
  expect(text).toMatch(/bytes in IPsec: +576 MiB in 400000 packets/);
  expect(printMigration(failed, nowMs)).toMatch(
    /failure: +aborted: alice asked for an abort; db runs on host-a\.\nreceipt: +plimsoll receipt show m-1$/,
  );
  expect(printMigration({ ...copying, proof: null }, nowMs)).toContain('not proven (no byte of the VM leaves its host before)');
});

test('bytes are counted over rekeys, and the counters of SAs that have nothing to do with each other are not subtracted', () => {
  const { sa } = done.channelAfter ?? { sa: null };
  if (sa === null || done.channelAfter === null) throw new Error('no SA');
  const counters = { spiIn: 'beef0002', spiOut: 'beef0001', bytesIn: 0, bytesOut: 1024 ** 2, packetsIn: 0, packetsOut: 1000 };
  const rekeyed = (replaced: typeof sa.replaced) => ({ ...done, channelAfter: { ...sa0, sa: { ...sa, ...counters, replaced } } });
  const sa0 = done.channelAfter;
  expect(printMigration(rekeyed([sa]), nowMs)).toMatch(/bytes in IPsec: +577 MiB in 401000 packets, 1 rekeys/);
  expect(printMigration(rekeyed([]), nowMs)).toContain('not counted: the SA was made anew');
});

test('a migration that IPsec does not protect says so, with who approved it', () => {
  const request = { ...copying.request, channelKind: 'none' as const, approvedBy: 'bob', grantId: 'g-1' };
  const text = printMigration({ ...copying, request, proof: null }, nowMs);
  expect(text).toMatch(/approved: +by bob/);
  expect(text).toContain('NOT PROTECTED');
  expect(text).toMatch(/grant: +g-1/);
});

test('channels: one line each, and both ends of one', () => {
  expect(printChannels([channel], nowMs).split('\n')).toEqual([
    'HOST    HOST    STATE  MODE        ALGORITHMS         BYTES   MSS  MIGRATION  MEASURED',
    'host-a  host-b  up     esp tunnel  AES_GCM_16-256  2.93 KiB  3906  -          1 min ago',
  ]);
  const text = printChannel(channel, nowMs);
  expect(text).toContain('guard:           installed, dropped 0 out and 4 in');
  expect(text).toContain('refused packets: 0 integrity, 1 replay, 0 unknown SPI, 2 plain text');
  expect(text).toContain('host-b: does not say: host-down');
});

test('a proof, and one that failed', () => {
  expect(printProve(proven)).toContain('verdict:    proven');
  const refusal = { code: 'proof-failed' as const, message: 'plain text came through' };
  expect(printProve({ ...proven, proof: null, refusal })).toContain('NOT PROVEN: proof-failed: plain text came through');
});

test('a tuning: predicted and measured, before and after', () => {
  expect(printTune(tuned).split('\n').slice(5)).toEqual([
    '                                                  BEFORE              AFTER  CHANGE',
    'MTU                                                 1500               4000',
    'MSS                                                 1406               3906',
    'packets for the same bytes, predicted                  1               0.36   -64 %',
    'packets for the same bytes, measured   75000 for 100 MiB  55500 for 200 MiB   -63 %',
    'throughput, measured                          50.0 MiB/s          100 MiB/s  +100 %',
    '',
    'The settings after are better. Nothing was changed: --apply keeps them. Migrations of this pair use them in any case.',
  ]);
  expect(printTune({ ...tuned, before: null, packetRatioMeasured: null })).toContain('nothing came through');
});

test('certificates, a revocation, grants and the audit', () => {
  expect(printCertificates([certificate], nowMs)).toContain('valid for 16 h');
  expect(printRevocation(revocation)).toContain('agents told:  host-b');
  expect(printGrant(grant, nowMs)).toContain('Another person approves it with: plimsoll grant approve g-1');
  expect(printGrants([grant], nowMs)).toContain('in 30 min');
  expect(printAudit([auditEntry]).split('\n')[1]).toBe('2026-01-31 14:05:09Z  alice  host.revoke  host-a  disk stolen');
});

test('the progress line and the outcome line', () => {
  expect(progressLine(copying, nowMs)).toBe(
    'db: host-a -> host-b  copying  75 %  128 MiB remaining  48.0 MiB/s, dirtied 1.00 MiB/s  ends in ~2.7 s  downtime ~180 ms  4.2 s',
  );
  expect(progressLine({ ...copying, progress: null, phase: 'secured', abortAsked: true }, nowMs)).toBe(
    'db: host-a -> host-b  secured, abort asked  4.2 s',
  );
  expect(outcomeLine(done, nowMs)).toBe('db runs on host-b after 4.2 s, downtime 251 ms. Its receipt: plimsoll receipt show m-1');
  expect(outcomeLine(failed, nowMs)).toBe(
    'The migration of db to host-b failed after 4.2 s: aborted: alice asked for an abort; db runs on host-a.',
  );
});

test('a dry run', () => {
  expect(printCheck(check)).toBe(
    'web1: host-a -> host-b\n  host-b was asked for and has room.\n\nNothing speaks against it. Nothing was moved.',
  );
});

test('a receipt: the verdict on its signature first, then every figure with its unit', () => {
  expect(printReceipt(receipt).split('\n')).toEqual([
    'receipt of: m-1',
    'signature:  valid (key sha256:abcd)',
    '',
    'vm: db',
    'endedAtMs: 2026-01-31 14:05:09Z',
    'downtimeMs: 251 ms',
    'espBytes: 2.00 KiB (2048 bytes)',
    'peers:',
    '  1. host-a',
    '  2. host-b',
    'integrity: -',
    'notes: none',
  ]);
  expect(printReceipt({ ...receipt, valid: false })).toContain('signature:  NOT VALID (key sha256:abcd): the receipt was changed');
});

test('the controller', () => {
  expect(printStatus(status, nowMs).split('\n')).toEqual([
    'version:     0.1.0',
    'mode:        observe (plans, moves nothing)',
    'started:     4 min 10 s ago, epoch 4',
    'hosts:       1 up of 2',
    'VMs:         2',
    'migrations:  1 under way',
    'plans every: 10.0 s',
    'alarms:      1',
    '',
    'Alarms:',
    "  warning: the clock of host-b is 5000 ms ahead of the controller's: synchronise it (clock-skew, since 1 min 30 s ago)",
  ]);
  expect(printStatus({ ...status, alarms: [] }, nowMs)).toContain('alarms:      none');
});
