import { must } from '#lab/process.ts';

export interface ImageOptions {
  readonly freeMib: number;
  readonly signal?: AbortSignal | undefined;
}

/** An ext4 image (sparse, without a journal) that holds a folder's content. */
export async function makeImage(folder: string, output: string, { freeMib, signal }: ImageOptions): Promise<void> {
  const used = await must(['du', '--summarize', '--apparent-size', '--block-size=1M', folder], { signal });
  // ext4's tables and partly filled blocks: an eighth was never reached.
  const sizeMib = Math.ceil(Number(used.split('\t')[0]) * 1.125) + 16 + freeMib;
  const options = ['-q', '-F', '-t', 'ext4', '-O', '^has_journal', '-m', '0', '-E', 'lazy_itable_init=1,root_owner=0:0'];
  await must(['mke2fs', ...options, '-d', folder, output, `${sizeMib}M`], { signal, timeoutMs: 300_000 });
}
