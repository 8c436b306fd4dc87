/** How long things take in a migration, as measured with libvirt 9.0 and QEMU 7.2. */
export const timings = {
  tickMs: 250,
  /** Device state and the hand-over itself, on top of the last pages: about 250 ms in all over userspace IPsec. */
  handOverMs: 60,
  /** The same for post-copy: a client's gap is 467 to 517 ms. */
  postCopyHandOverMs: 400,
  /** libvirt refuses post-copy 0.3 s after the start, and takes it 1.2 s after. */
  postCopyRefusedMs: 500,
  /** From the destination's start to the end of the source's copy. */
  confirmMs: 20,
  /** libvirt's keep-alive on a link that is cut: 28.5 s. */
  keepAliveMs: 28_500,
  /** Until a host sees that the other one's QEMU, or its libvirtd, is dead: 1.3 s and 1.1 s. */
  deadPeerSeenMs: 1_300,
  /** Until the destination has cleaned up after a job that failed. */
  cleanUpMs: 200,
  /** Until a post-copy goes on over its new connection. */
  reconnectMs: 200,
} as const;
