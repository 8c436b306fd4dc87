/**
 * One driver of migrations in two styles, told apart by what loses VMs and nothing else.
 *
 *   naive    as scripts write it: no return path, so that the source's `completed` means "all is in my socket"; the driver takes it for
 *            "the destination has the VM" and ends the source (before it starts the destination: never two). Nobody watches the switch-over.
 *   careful  with the return path `completed` is said after the destination has acknowledged; the source is kept until the destination is
 *            seen to run; a switch-over that stalls is cancelled, and the source goes on.
 *
 * In both the destination's QEMU is started with -S, and runs when the driver says so.
 */
import type { Qmp } from './qmp.ts';

export type Style = 'naive' | 'careful';

/** A QEMU that has the VM, or is to get it. */
export interface Copy {
  readonly qmp: Qmp;
  /** Ends the process, and returns when it is gone. */
  end(): Promise<void>;
}

export interface Journey {
  readonly source: Copy;
  readonly destination: Copy;
  /** The destination's address on the network between the hosts. */
  readonly address: string;
  readonly port: number;
}

/** The source's last word on its transfer; `ended`: its process went before it said one. */
type Word = 'completed' | 'failed' | 'cancelled' | 'ended';

const words: readonly string[] = ['completed', 'failed', 'cancelled'] satisfies readonly Word[];
const isWord = (status: string | null): status is Word => status !== null && words.includes(status);

/** A healthy switch-over takes less than half a second here. */
const switchOverMsMax = 2_000;

/** Moves the VM and returns what the driver believes of it in the end. `signal` ends the wait for a source that says nothing. */
export async function migrate(style: Style, journey: Journey, signal: AbortSignal): Promise<string> {
  const { source, destination, address, port } = journey;
  const capabilities = [
    { capability: 'events', state: true },
    { capability: 'return-path', state: style === 'careful' },
  ];
  for (const { qmp } of [destination, source]) await qmp.execute('migrate-set-capabilities', { capabilities });
  await destination.qmp.execute('migrate-incoming', { uri: `tcp:${address}:${port}` });
  const lastWord = wordOf(source.qmp, signal);
  const unwatch = style === 'careful' ? watchSwitchOver(source.qmp) : () => undefined;
  try {
    await source.qmp.execute('migrate', { uri: `tcp:${address}:${port}` });
    const word = await lastWord;
    return await (style === 'careful' ? settle(word, journey) : believe(word, journey));
  } finally {
    unwatch();
  }
}

function wordOf(source: Qmp, signal: AbortSignal): Promise<Word | 'nothing'> {
  const { promise, resolve } = Promise.withResolvers<Word | 'nothing'>();
  const ignore = source.listen(({ name, status }) => {
    if (name === 'MIGRATION' && isWord(status)) resolve(status);
  });
  void source.closed.then(() => resolve('ended'));
  const onAbort = (): void => resolve('nothing');
  signal.addEventListener('abort', onAbort, { once: true });
  return promise.finally(() => {
    ignore();
    signal.removeEventListener('abort', onAbort);
  });
}

/**
 * The watchdog: from the moment the VM stands, the transfer has so long to end. Returns what ends it.
 * `migrate_cancel` alone is not enough: a source that waits for room in its socket with the last part of the VM holds QEMU's lock, and
 * takes no ordinary command (QEMU 7.2, seen over a dead link). `yank` closes the socket out of band; the transfer fails, and QEMU goes on.
 */
function watchSwitchOver(source: Qmp): () => void {
  let timer: NodeJS.Timeout | undefined;
  const cancel = async (): Promise<void> => {
    await triedOf(source.executeOutOfBand('yank', { instances: [{ type: 'migration' }] }));
    await triedOf(source.execute('migrate_cancel'));
  };
  const ignore = source.listen(({ name }) => {
    // What comes of it is heard as the source's last word.
    if (name === 'STOP') timer ??= setTimeout(() => void cancel(), switchOverMsMax);
  });
  return () => {
    clearTimeout(timer);
    ignore();
  };
}

const triedOf = (action: Promise<unknown>): Promise<boolean> =>
  action.then(
    () => true,
    () => false,
  );

async function believe(word: Word | 'nothing', { source, destination }: Journey): Promise<string> {
  if (word !== 'completed') {
    await triedOf(destination.qmp.execute('quit'));
    return `the source says ${word}`;
  }
  await triedOf(source.qmp.execute('quit'));
  await source.qmp.closed;
  return (await triedOf(destination.qmp.execute('cont'))) ? 'moved' : 'moved, but the destination does not answer';
}

async function settle(word: Word | 'nothing', { source, destination }: Journey): Promise<string> {
  if (word === 'completed' && (await startsToRun(destination.qmp))) {
    await source.end();
    return 'moved';
  }
  await destination.end();
  const goesOn = await triedOf(source.qmp.execute('cont'));
  return `the source says ${word}, ${goesOn ? 'and goes on' : 'and does not answer'}`;
}

async function startsToRun(destination: Qmp): Promise<boolean> {
  if (!(await triedOf(destination.execute('cont')))) return false;
  const answer = await destination.execute('query-status').catch(() => undefined);
  return typeof answer === 'object' && answer !== null && 'status' in answer && answer.status === 'running';
}
