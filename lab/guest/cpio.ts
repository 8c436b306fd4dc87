export interface ArchiveFile {
  readonly path: string;
  /** Type and permission bits as stat(2) gives them. */
  readonly mode: number;
  readonly data: Uint8Array;
}

const padded = (bytes: number): number => Math.ceil(bytes / 4) * 4;

/** The "newc" form that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst). */
function entry(file: ArchiveFile, inode: number): Buffer {
  const nameBytes = Buffer.byteLength(file.path) + 1;
  const links = 1;
  const numbers = [inode, file.mode, 0, 0, links, 0, file.data.length, 0, 0, 0, 0, nameBytes, 0];
  const header = `070701${numbers.map((n) => n.toString(16).padStart(8, '0')).join('')}`;
  const dataAt = padded(header.length + nameBytes);
  const out = Buffer.alloc(dataAt + padded(file.data.length));
  out.write(`${header}${file.path}`, 'latin1');
  out.set(file.data, dataAt);
  return out;
}

export function cpioArchive(files: readonly ArchiveFile[]): Buffer {
  const all = [...files, { path: 'TRAILER!!!', mode: 0, data: new Uint8Array() }];
  return Buffer.concat(all.map((file, i) => entry(file, i + 1)));
}

export const DIRECTORY_MODE = 0o040755;
export const PROGRAM_MODE = 0o100755;
