/** A process of its own, so that nothing the campaign does delays a sample: asks every QEMU of every host every 50 ms. */
import { Monitor } from './monitor.ts';
import { type CopyState, type MonitorPlace, type OracleMessage, sampleIntervalMs } from './words.ts';

function say(message: OracleMessage): void {
  if (process.connected) process.send?.(message);
}

function isPlace(value: unknown): value is MonitorPlace {
  return typeof value === 'object' && value !== null && 'guest' in value && 'host' in value && 'socketPath' in value;
}

const given: unknown = JSON.parse(process.argv[2] ?? '[]');
const places = Array.isArray(given) ? given.filter(isPlace) : [];
const monitors = places.map(({ guest, host, socketPath }) => {
  const monitor = new Monitor(socketPath, {
    onEvent: (name, status) => say({ kind: 'event', guest, event: { atMs: Date.now(), host, name, status } }),
    onTransfer: (sentBytes, remainingBytes, pass) =>
      say({ kind: 'transfer', guest, transfer: { atMs: Date.now(), host, sentBytes, remainingBytes, pass } }),
  });
  return { guest, host, monitor };
});

setInterval(() => {
  const atMs = Date.now();
  const byGuest = new Map<string, Record<string, CopyState>>();
  for (const { guest, host, monitor } of monitors) {
    const copies = byGuest.get(guest) ?? {};
    copies[host] = monitor.tick();
    byGuest.set(guest, copies);
  }
  for (const [guest, copies] of byGuest) say({ kind: 'sample', guest, sample: { atMs, copies } });
}, sampleIntervalMs);

process.once('disconnect', () => process.exit(0));
