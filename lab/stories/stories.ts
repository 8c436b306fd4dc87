import { drainedHost } from './drained-host.ts';
import { hotHost } from './hot-host.ts';
import type { Story } from './story.ts';
import { twoHotHosts } from './two-hot-hosts.ts';

export const stories: readonly Story[] = [hotHost, twoHotHosts, drainedHost];
