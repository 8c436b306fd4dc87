import { missingForRealLibvirtd } from './real-libvirtd.ts';
import { startFakeSite, startRealSite, type SiteKind } from './site.ts';

/** What every suite runs against. `missing`: what the suite itself needs beside libvirt; null when that is there. */
export function siteKinds(missing: string | null = null): readonly SiteKind[] {
  const kind = (name: string, missed: string | null, start: SiteKind['start']): SiteKind => {
    return { name: missed === null ? name : `${name}: not run, needs ${missed}`, missing: missed, start };
  };
  return [kind('a fake libvirtd', missing, startFakeSite), kind('a real libvirtd', missing ?? missingForRealLibvirtd(), startRealSite)];
}
