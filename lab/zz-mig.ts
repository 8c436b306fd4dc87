import { openLab } from '#lab/api.ts';
const lab = await openLab('lab');
const g = lab.guest('vm1');
const where = async () => (await lab.placement())['vm1'];
console.log(await where(), await g.steer({ cpuPercent: 20, dirtyMbPerSecond: 10, diskWritesPerSecond: 5 }));
const cap = await lab.startCapture('test');
await g.startProbe();
for (let i = 0; i < 3; i++) {
  const [from = ''] = (await where()) ?? [];
  const to = from === 'host1' ? 'host2' : 'host1';
  const t = performance.now();
  const r = await lab.host(from).exec(['virsh', '-q', 'migrate', '--live', '--p2p', '--persistent', '--undefinesource', 'vm1', `qemu+tls://${lab.host(to).underlay}/system?pkipath=/etc/plimsoll/pki/libvirt`], { timeoutMs: 120000 });
  console.log(r, Math.round(performance.now() - t), await where());
}
console.log(await g.stopProbe());
const f = await cap.stop();
console.log(await lab.scan(f));
console.log(await g.beats(), await g.diskLog());
await g.steer({ cpuPercent: 0, dirtyMbPerSecond: 0, diskWritesPerSecond: 0 });
