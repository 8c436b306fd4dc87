/** What a process is told to stop with; a second one means now. */
const stopSignals = ['SIGINT', 'SIGTERM'] as const;

let controller: AbortController | null = null;

/**
 * The signal of this process: aborted by the first SIGINT or SIGTERM. A second one ends the process at once,
 * with the exit code a shell gives to a process that died of it.
 */
export function interruptSignal(): AbortSignal {
  if (controller) return controller.signal;
  const created = new AbortController();
  controller = created;
  for (const name of stopSignals) {
    process.on(name, () => {
      if (created.signal.aborted) process.exit(name === 'SIGINT' ? 130 : 143);
      created.abort();
    });
  }
  return created.signal;
}
