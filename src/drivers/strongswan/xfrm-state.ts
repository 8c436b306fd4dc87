/** One SA in the kernel, by what the kernel tells it apart by. */
export interface XfrmState {
  readonly source: string;
  readonly destination: string;
  readonly protocol: string;
  /** As ip(8) writes it, such as `0xc7869e00`. */
  readonly spi: string;
}

/** Arguments for `ip` that list the SAs with this request id, one per line, without their keys. */
export function stateList(reqid: number): readonly string[] {
  return ['-o', 'xfrm', 'state', 'list', 'nokeys', 'reqid', String(reqid)];
}

export function stateDelete({ source, destination, protocol, spi }: XfrmState): readonly string[] {
  return ['xfrm', 'state', 'delete', 'src', source, 'dst', destination, 'proto', protocol, 'spi', spi];
}

/**
 * The SAs of a listing. Without those of SPI 0: the kernel keeps such a placeholder for a while after a packet met a policy that
 * has no SA; it carries nothing, cannot be deleted, and makes `deleteall` fail for all the others.
 */
export function readStates(listing: string): readonly XfrmState[] {
  return listing.split('\n').flatMap((line) => {
    const [, source, destination] = /^src (\S+) dst ([^\s\\]+)/.exec(line) ?? [];
    const [, protocol, spi] = /\sproto (\S+) spi (0x[0-9a-f]+)/.exec(line) ?? [];
    if (source === undefined || destination === undefined || protocol === undefined || spi === undefined) return [];
    return Number(spi) === 0 ? [] : [{ source, destination, protocol, spi }];
  });
}
