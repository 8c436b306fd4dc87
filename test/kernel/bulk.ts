/** Bulk TCP between two hosts of the lab, by iperf3 in the hosts. */
import { type VmHost } from '#lab/vm/api.ts';
import { waitFor } from '#lab/wait.ts';

/** A data port of migrations: inside a channel only. */
export const bulkPort = 49_200;

export interface BulkEnds {
  readonly from: VmHost;
  readonly to: VmHost;
  /** Addresses inside the channel. */
  readonly fromAddress: string;
  readonly toAddress: string;
}

/** Sends `bytes`; resolves with the time it took, null when not everything came through within `timeoutMs`. */
export async function sendBulk(ends: BulkEnds, bytes: number, timeoutMs: number): Promise<number | null> {
  const { from, to, fromAddress, toAddress } = ends;
  const limit = `${Math.ceil(timeoutMs / 1000)}`;
  const timed = { timeoutMs: timeoutMs + 30_000 };
  const receiving = to.exec(
    ['timeout', '-s', 'KILL', `${Number(limit) + 10}`, 'iperf3', '-s', '-1', '-B', toAddress, '-p', `${bulkPort}`],
    timed,
  );
  const listens = async (): Promise<boolean> => (await to.must(['ss', '-Hltn', 'sport', '=', `:${bulkPort}`])).includes(`:${bulkPort}`);
  await waitFor(listens, { what: 'iperf3 to listen', timeoutMs: 20_000, intervalMs: 100 });
  const send = ['iperf3', '-c', toAddress, '-B', fromAddress, '-p', `${bulkPort}`, '-n', `${bytes}`, '-J'];
  const sent = await from.exec(['timeout', '-s', 'KILL', limit, ...send], timed);
  if (sent.code !== 0) await to.exec(['sh', '-c', 'kill $(pidof iperf3)']);
  await receiving;
  return sent.code === 0 ? secondsOf(sent.stdout) * 1000 : null;
}

function secondsOf(report: string): number {
  const { end } = JSON.parse(report) as { readonly end: { readonly sum_sent: { readonly seconds: number } } };
  return end.sum_sent.seconds;
}
