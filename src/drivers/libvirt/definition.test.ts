import { XMLParser } from 'fast-xml-parser';
import { describe, expect, it } from 'vitest';

import { PlimsollError } from '#core/model/result.ts';

import { readDefinition } from './definition.ts';

const uuid = '6695eb01-f6a4-8304-79aa-97f2502e193f';

/** A domain around devices. `more` stands before them. */
function domain(devices: string, more = '', type = 'kvm'): string {
  return `<domain type='${type}' id='3'>
  <name>web</name>
  <uuid>${uuid}</uuid>
  <memory unit='KiB'>4194304</memory>
  <currentMemory unit='KiB'>2097152</currentMemory>
  <vcpu placement='static' current='2'>8</vcpu>
  <os><type arch='x86_64' machine='pc-q35-7.2'>hvm</type></os>
  ${more}
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    ${devices}
  </devices>
</domain>`;
}

const read = (devices: string, more = '') => readDefinition(domain(devices, more), true);

describe('a definition', () => {
  it('is read as far as it decides where the VM can run', () => {
    expect(read('')).toEqual({
      vmId: uuid,
      name: 'web',
      type: 'kvm',
      architecture: 'x86_64',
      machine: 'pc-q35-7.2',
      emulator: '/usr/bin/qemu-system-x86_64',
      vcpus: 2,
      memoryBytes: 4 * 2 ** 30,
      cpuMode: null,
      cpuModel: null,
      interfaces: [],
      disks: [],
      leases: [],
      hostOnly: [],
      files: [],
      persistent: true,
    });
    expect(readDefinition(domain(''), false).persistent).toBe(false);
  });

  it.each([
    ["<cpu mode='host-passthrough' check='none' migratable='on'/>", 'host-passthrough', null],
    [
      "<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>EPYC</model><feature policy='require' name='vmx'/></cpu>",
      'custom',
      'EPYC',
    ],
    ['<cpu><model>core2duo</model></cpu>', 'custom', 'core2duo'],
    ["<cpu><topology sockets='1' dies='1' cores='2' threads='1'/></cpu>", null, null],
    ["<cpu mode='host-model'><model fallback='forbid'/></cpu>", 'host-model', null],
  ])('has the CPU of %s', (cpu, cpuMode, cpuModel) => {
    expect(read('', cpu)).toMatchObject({ cpuMode, cpuModel });
  });

  it.each([
    ["<memory unit='GiB'>2</memory>", 2 * 2 ** 30],
    ["<memory unit='M'>512</memory>", 512 * 2 ** 20],
    ["<memory unit='MB'>512</memory>", 512_000_000],
    ["<memory unit='bytes'>1048576</memory>", 2 ** 20],
    ['<memory>2048</memory>', 2 ** 21],
  ])('has the memory of %s', (memory, memoryBytes) => {
    expect(readDefinition(domain('').replace(/<memory .*<\/memory>/u, memory), true).memoryBytes).toBe(memoryBytes);
  });

  it('has firmware and kernel among the files that the emulator opens', () => {
    const uefi = `<os firmware='efi'><type arch='x86_64' machine='pc-q35-7.2'>hvm</type>
      <loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE_4M.secboot.fd</loader>
      <nvram template='/usr/share/OVMF/OVMF_VARS_4M.ms.fd'>/var/lib/libvirt/qemu/nvram/web_VARS.fd</nvram>
      <boot dev='hd'/></os>`;
    const direct = "<os><type arch='x86_64' machine='pc'>hvm</type><kernel>/boot/vmlinuz</kernel><initrd>/boot/initrd</initrd></os>";
    const withOs = (os: string) => readDefinition(domain('').replace(/<os>.*<\/os>/u, os), true);
    expect(withOs(uefi)).toMatchObject({
      files: ['/usr/share/OVMF/OVMF_CODE_4M.secboot.fd', '/usr/share/OVMF/OVMF_VARS_4M.ms.fd'],
      hostOnly: [],
    });
    expect(withOs(direct).files).toEqual(['/boot/vmlinuz', '/boot/initrd']);
  });

  it('leaves alone what others keep with the VM, and comments', () => {
    const metadata = `<metadata><nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1"><name>other</name>
      <![CDATA[<devices>]]><!-- kept --></nova:instance></metadata><description>a &lt;name&gt; &amp; more</description>`;
    expect(read('<!-- <disk/> -->', metadata)).toMatchObject({ name: 'web', disks: [] });
  });

  it('has names as they are meant, not as they are written', () => {
    const xml = domain('').replace('<name>web</name>', '<name>a&amp;b&apos;s &#x201C;web&#8221;</name>');
    expect(readDefinition(xml, true).name).toBe("a&b's “web”");
  });

  it('is read with an XML declaration, and with serial lines and consoles of every kind', () => {
    const lines = `<serial type='pty'><source path='/dev/pts/3'/><target type='isa-serial' port='0'/></serial>
      <serial type='file'><source path='/var/log/web.log' append='on'/><target port='1'/></serial>
      <console type='pty' tty='/dev/pts/3'><source path='/dev/pts/3'/><target type='serial' port='0'/></console>
      <console type='pty'><target type='virtio' port='1'/></console>
      <channel type='unix'><source mode='bind' path='/run/a.sock'/><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
      <graphics type='vnc' port='5900' autoport='yes'/><video><model type='virtio'/></video><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>`;
    const xml = `<?xml version='1.0' encoding='UTF-8'?>\n${domain(lines)}\n`;
    expect(readDefinition(xml, true)).toMatchObject({ name: 'web', hostOnly: [] });
  });
});

describe('disks of a definition', () => {
  it.each([
    [
      "<disk type='network' device='disk'><driver name='qemu' type='raw' cache='none'/><source protocol='iscsi' name='iqn.2026-01.example:web/1'><host name='10.0.0.9' port='3260'/></source><target dev='vda' bus='virtio'/></disk>",
      { target: 'vda', kind: 'network', source: 'iscsi:iqn.2026-01.example:web/1', cache: 'none', readOnly: false },
    ],
    [
      "<disk type='network' device='disk'><source protocol='nbd'><host name='store' port='10809'/></source><target dev='vdb'/></disk>",
      { source: 'nbd:store' },
    ],
    [
      "<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='writeback'/><source file='/nfs/web.qcow2' index='1'/><backingStore type='file'><format type='qcow2'/><source file='/nfs/base.qcow2'/><backingStore/></backingStore><target dev='vdb' bus='virtio'/></disk>",
      { target: 'vdb', kind: 'file', source: '/nfs/web.qcow2', cache: 'writeback' },
    ],
    [
      "<disk type='block' device='disk'><driver name='qemu' type='raw' cache='default'/><source dev='/dev/vg0/web'/><target dev='vdc'/><shareable/></disk>",
      { kind: 'block', source: '/dev/vg0/web', cache: null, shareable: true },
    ],
    [
      "<disk type='volume' device='disk'><source pool='san' volume='web'/><target dev='vdd'/></disk>",
      { kind: 'volume', source: 'san/web' },
    ],
    [
      "<disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>",
      { device: 'cdrom', source: null, readOnly: true },
    ],
    [
      "<disk type='file' device='cdrom'><source file='/iso/setup.iso' startupPolicy='optional'/><target dev='sda'/></disk>",
      { device: 'cdrom', source: '/iso/setup.iso', startupPolicy: 'optional', readOnly: true },
    ],
    ["<disk type='vhostuser' device='disk'><source type='unix' path='/run/v.sock'/><target dev='vde'/></disk>", { source: '/run/v.sock' }],
    ["<disk type='holographic' device='disk'><source beam='1'/><target dev='vdf'/></disk>", { kind: 'holographic', source: 'holographic' }],
  ])('are read: %s', (xml, expected) => {
    expect(read(xml).disks).toEqual([expect.objectContaining(expected)]);
  });

  it('come with the lease that locks them', () => {
    const lease = "<lease><lockspace>locks</lockspace><key>web</key><target path='/srv/shared' offset='0'/></lease>";
    expect(read(lease).leases).toEqual([{ lockspace: 'locks', key: 'web', path: '/srv/shared' }]);
    expect(read(lease.replace('<lockspace>locks</lockspace>', '')).leases).toEqual([{ lockspace: '', key: 'web', path: '/srv/shared' }]);
  });
});

describe('interfaces of a definition', () => {
  it.each([
    ["<interface type='bridge'><mac address='52:54:00:AB:CD:EF'/><source bridge='br0'/></interface>", 'bridge', 'br0'],
    [
      "<interface type='network'><mac address='52:54:00:AB:CD:EF'/><source network='default' portid='x' bridge='virbr0'/></interface>",
      'network',
      'default',
    ],
    [
      "<interface type='bridge'><mac address='52:54:00:AB:CD:EF'/><source network='prod' portid='x' bridge='br0'/></interface>",
      'network',
      'prod',
    ],
    ["<interface type='direct'><mac address='52:54:00:AB:CD:EF'/><source dev='eno1' mode='bridge'/></interface>", 'direct', 'eno1'],
    [
      "<interface type='direct'><mac address='52:54:00:AB:CD:EF'/><source network='vlan7' dev='eno1' mode='vepa'/></interface>",
      'network',
      'vlan7',
    ],
    ["<interface type='user'><mac address='52:54:00:AB:CD:EF'/></interface>", 'user', null],
    [
      "<interface type='vhostuser'><mac address='52:54:00:AB:CD:EF'/><source type='unix' path='/run/v.sock' mode='client'/></interface>",
      'vhostuser',
      '/run/v.sock',
    ],
    ["<interface type='constructor'><mac address='52:54:00:AB:CD:EF'/></interface>", 'constructor', null],
  ])('are read: %s', (xml, kind, source) => {
    expect(read(xml)).toMatchObject({ interfaces: [{ kind, source, mac: '52:54:00:ab:cd:ef' }], hostOnly: [] });
  });
});

describe('what binds a VM to its host', () => {
  const address = "<address domain='0x0000' bus='0x81' slot='0x0a' function='0x1'/>";

  it.each([
    [`<hostdev mode='subsystem' type='pci' managed='yes'><source>${address}</source></hostdev>`, 'PCI device 0000:81:0a.1'],
    ["<hostdev mode='subsystem' type='usb'><source><vendor id='0x046d'/><product id='0xc52b'/></source></hostdev>", 'USB device 046d:c52b'],
    ["<hostdev mode='subsystem' type='usb'><source><address bus='1' device='4'/></source></hostdev>", 'USB device 1-4'],
    [
      "<hostdev mode='subsystem' type='mdev' model='vfio-pci'><source><address uuid='c2177883'/></source></hostdev>",
      'mediated device c2177883',
    ],
    ["<hostdev mode='subsystem' type='scsi'><source><adapter name='scsi_host2'/></source></hostdev>", 'SCSI device scsi_host2'],
    ["<hostdev mode='capabilities' type='storage'><source><block>/dev/sdx</block></source></hostdev>", 'storage device of the host'],
    [
      `<interface type='hostdev' managed='yes'><mac address='52:54:00:AB:CD:EF'/><source>${address.replace('<address', "<address type='pci'")}</source></interface>`,
      'network interface 52:54:00:ab:cd:ef, which is a device of the host (PCI device 0000:81:0a.1)',
    ],
    [
      "<interface type='vdpa'><mac address='52:54:00:AB:CD:EF'/><source dev='/dev/vhost-vdpa-0'/></interface>",
      'vDPA network interface 52:54:00:ab:cd:ef',
    ],
    [
      "<filesystem type='mount'><driver type='virtiofs'/><source dir='/srv'/><target dir='share'/></filesystem>",
      'shared folder share (virtiofs)',
    ],
    ["<filesystem type='mount' accessmode='mapped'><source dir='/srv'/><target dir='share'/></filesystem>", 'shared folder share (9p)'],
    ["<tpm model='tpm-tis'><backend type='passthrough'><device path='/dev/tpm0'/></backend></tpm>", 'TPM /dev/tpm0'],
    [
      "<tpm model='tpm-crb'><backend type='external'><source type='unix' mode='connect' path='/run/tpm'/></backend></tpm>",
      'TPM emulator /run/tpm, which libvirt does not start',
    ],
    ["<shmem name='ring' role='peer'><model type='ivshmem-plain'/></shmem>", 'memory ring that it shares with others'],
    ["<input type='evdev'><source dev='/dev/input/event3'/></input>", 'input device /dev/input/event3'],
    ["<input type='passthrough'><source evdev='/dev/input/event4'/></input>", 'input device /dev/input/event4'],
    [
      "<serial type='dev'><source path='/dev/ttyS0'/></serial><console type='dev'><source path='/dev/ttyS0'/></console>",
      'character device /dev/ttyS0',
    ],
    [
      "<disk type='nvme' device='disk'><source type='pci' namespace='1'><address domain='0x0000' bus='0x01' slot='0x00' function='0x0'/></source><target dev='vda'/></disk>",
      'NVMe disk vda (PCI device 0000:01:00.0)',
    ],
    ["<disk type='file' device='disk'><source file='/nfs/a'/><target dev='vdz'/><transient/></disk>", 'transient disk vdz'],
    ["<video><model type='virtio'><acceleration accel3d='yes'/></model></video>", "3D acceleration by the host's graphics card"],
  ])('is named: %s', (xml, sentence) => {
    expect(read(xml).hostOnly).toEqual([sentence]);
  });

  it.each([
    ["<launchSecurity type='sev'><cbitpos>47</cbitpos></launchSecurity>", "memory encrypted by the host's processor (sev)"],
    ["<cpu mode='host-model'><feature policy='require' name='invtsc'/></cpu>", 'the CPU feature invtsc without a fixed frequency'],
  ])('is named: %s', (xml, sentence) => {
    expect(read('', xml).hostOnly).toEqual([sentence]);
  });

  it.each([
    [`<hostdev mode='subsystem' type='pci'><source>${address}</source><teaming type='transient' persistent='ua-a'/></hostdev>`, ''],
    [
      `<interface type='hostdev'><mac address='52:54:00:ab:cd:ef'/><source>${address}</source><teaming type='transient' persistent='ua-a'/></interface>`,
      '',
    ],
    ["<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>", ''],
    ["<shmem name='ring' role='master'><model type='ivshmem-plain'/></shmem>", ''],
    ["<video><model type='virtio'><acceleration accel3d='no'/></model></video>", ''],
    ['', "<cpu mode='custom'><model>EPYC</model><feature policy='disable' name='invtsc'/></cpu>"],
    [
      '',
      "<cpu mode='host-model'><feature policy='require' name='invtsc'/></cpu><clock offset='utc'><timer name='tsc' frequency='2400000000'/></clock>",
    ],
  ])('is nothing: %s%s', (devices, more) => {
    expect(read(devices, more).hostOnly).toEqual([]);
  });
});

describe('a hostile or broken definition', () => {
  const bomb = `<!DOCTYPE domain [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>`;
  const name = (text: string) => domain('').replace('<name>web</name>', `<name>${text}</name>`);

  it.each([
    ['empty', ''],
    ['no XML', 'error: failed to get domain'],
    ['another document', '<network><name>default</name></network>'],
    ['two documents', domain('') + domain('')],
    ['a document and an empty one', `${domain('')}<domain/>`],
    ['cut off', domain('').slice(0, 300)],
    ['with crossed tags', domain('<disk><target></disk></target>')],
    ['with an entity bomb', bomb + name('&b;')],
    ['with an entity of a file', `<!DOCTYPE domain [<!ENTITY f SYSTEM 'file:///etc/shadow'>]>${name('&f;')}`],
    ['with a document type inside', domain(`<x/>${bomb}`)],
    ['with a document type hidden from a reader of comments', domain(`<x y="<!--"/>${bomb}<!-- -->`)],
    ['with an unknown entity', name('&nbsp;')],
    ['with a bare ampersand', domain("<emulator2 path='a&b'/>")],
    ['with a character that XML forbids', name('a&#27;[2J')],
    ['with half a surrogate pair', name('a&#xD800;')],
    ['with a control character', name('a\u{1b}[2J')],
    ['with the name of a prototype', domain('<__proto__><polluted/></__proto__>')],
    ['too long', domain(`<!-- ${'x'.repeat(512 * 1024)} -->`)],
    ['with too many tags', domain('<a/>'.repeat(20_000))],
    ['too deep', domain(`${'<a>'.repeat(300)}${'</a>'.repeat(300)}`)],
    ['without a name', domain('').replace('<name>web</name>', '')],
    ['without a UUID', domain('').replace(/<uuid>.*<\/uuid>/u, '')],
    ['with a UUID that is none', domain('').replace(uuid, '../../etc')],
    ['without memory', domain('').replace(/<memory .*<\/memory>/u, '')],
    ['with negative memory', domain('').replace('>4194304<', '>-1<')],
    ['with more memory than there are numbers', domain('').replace('>4194304<', '>999999999999999<')],
    ['with memory in furlongs', domain('').replace("<memory unit='KiB'>", "<memory unit='furlong'>")],
    ['without virtual CPUs', domain('').replace("current='2'", "current='0'")],
    ['without a type', domain('').replace("type='kvm' ", '')],
    ['with a disk without a name', domain("<disk type='file'><source file='/a'/></disk>")],
  ])('is refused: %s', (_, xml) => {
    const failure = failureOf(xml);
    expect(failure).toBeInstanceOf(PlimsollError);
    expect(failure).toMatchObject({
      code: 'hypervisor-failed',
      message: expect.stringMatching(/^libvirt's definition of the VM cannot be read: .*virsh dumpxml$/u),
    });
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('would have its entities expanded by the parser as it comes', () => {
    const entity = "<!DOCTYPE domain [<!ENTITY a 'expanded'>]>";
    expect(new XMLParser().parse(entity + name('&a;'))).toMatchObject({ domain: { name: 'expanded' } });
  });

  it('is refused without repeating what it says', () => {
    const secret = 'hunter2-in-the-clear';
    const xml = domain(`<graphics type='vnc' passwd='${secret}'><x></graphics>`);
    const failure = failureOf(xml);
    expect(failure).toBeInstanceOf(PlimsollError);
    expect(String(failure)).not.toContain(secret);
    expect(failure).not.toHaveProperty('cause');
  });

  it('does not take long', () => {
    const startMs = performance.now();
    for (const part of ['<!--', '<![CDATA[', '<?a ', '&amp;', ' ', "a='b' ", '<a>', '</a>', '"']) {
      failureOf(`<domain ${part.repeat(Math.floor((512 * 1024 - 20) / part.length))}`);
    }
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});

function failureOf(xml: string): unknown {
  try {
    readDefinition(xml, true);
  } catch (error) {
    return error;
  }
  return null;
}
