/** How long things take in a migration, as measured with libvirt 9.0 and QEMU 7.2. */
export const tickMs = 250;
/** Device state and the hand-over itself, on top of the last pages: about 250 ms in all over userspace IPsec. */
export const handOverMs = 60;
/** The same for post-copy: a client's gap is 467 to 517 ms. */
export const postCopyHandOverMs = 400;
/** libvirt refuses post-copy 0.3 s after the start, and takes it 1.2 s after. */
export const postCopyRefusedMs = 500;
/** From the destination's start to the end of the source's copy. */
export const confirmMs = 20;
/** libvirt's keep-alive on a link that is cut: 28.5 s. */
export const keepAliveMs = 28_500;
/** Until a host sees that the other one's QEMU, or its libvirtd, is dead: 1.3 s and 1.1 s. */
export const deadPeerSeenMs = 1_300;
/** Until the destination has cleaned up after a job that failed. */
export const cleanUpMs = 200;
/** Until a post-copy goes on over its new connection. */
export const reconnectMs = 200;
