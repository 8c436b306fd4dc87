import type { RunIp } from '#drivers/strongswan/xfrm.ts';

/** The kernel's IPsec policies as ip(8) sees them, as far as the driver uses it: update, delete, list; and no SAs. */
export class FakeKernel {
  /** By selector and direction; the value is a line of `ip -o xfrm policy list`. */
  readonly policies = new Map<string, string>();
  readonly commands: string[] = [];
  readonly run: RunIp = (args) => {
    this.commands.push(args.join(' '));
    const words = args.filter((word) => word !== '-o');
    if (words[1] === 'state') return Promise.resolve('');
    if (words[2] === 'list') return Promise.resolve([...this.policies.values()].join('\n'));
    return this.#change(words);
  };

  #change(words: readonly string[]): Promise<string> {
    const at = words.indexOf('dir');
    const [selector, direction] = [words.slice(3, at).join(' '), words[at + 1] ?? ''];
    const key = `${selector} dir ${direction}`;
    if (words[2] === 'delete') {
      if (this.policies.delete(key)) return Promise.resolve('');
      return Promise.reject(new Error('RTNETLINK answers: No such file or directory'));
    }
    this.policies.set(key, `${selector} \\\tdir ${direction} priority 1000 ptype main \\${templatesOf(words)}`);
    return Promise.resolve('');
  }
}

function templatesOf(words: readonly string[]): string {
  const text = words.slice(words.indexOf('tmpl')).join(' ');
  return text
    .split('tmpl ')
    .slice(1)
    .map((template) => {
      const [, ends, rest] = /^(src \S+ dst \S+) (proto \S+ reqid \S+ mode \S+)/.exec(template) ?? [];
      return `\ttmpl ${ends}\\\t\t${rest}\\`;
    })
    .join('');
}
