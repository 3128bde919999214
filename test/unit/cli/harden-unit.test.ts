import t from 'tap';
import {
  COVERAGE,
  checkUnitName,
  dropIn,
  isTemplate,
  MARKER,
  missing,
  parseShow,
} from '#src/cli/harden-unit.ts';
import { DECLARED } from '#test/support/bypass/declared.ts';

/** As systemctl show prints a unit with the drop-in, shortened where order and number do not matter. */
const HARDENED = `LoadState=loaded
NeedDaemonReload=no
CapabilityBoundingSet=cap_chown cap_net_bind_service
AmbientCapabilities=
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
SystemCallFilter=~io_uring_enter:EPERM io_uring_register:EPERM io_uring_setup:EPERM pidfd_getfd:EPERM process_vm_readv:EPERM process_vm_writev:EPERM ptrace:EPERM
SystemCallArchitectures=native
Wants=network-online.target sluice.service
Requires=sysinit.target
After=sysinit.target sluice.service
`;

t.test('every way that is open at tier base is closed by it, or said to stay open', async (t) => {
  const declared = new Set(DECLARED['base']?.map(({ row }) => row));
  const { closes, leaves } = COVERAGE;
  t.same(new Set([...closes, ...leaves]), declared);
  t.same(
    closes.filter((row) => leaves.includes(row)),
    [],
  );
});

t.test('the drop-in: its mark, and a comment above every line', async (t) => {
  const lines = dropIn('billing.service').trimEnd().split('\n');
  t.equal(lines[0], `${MARKER} billing.service`);
  for (const [at, line] of lines.entries()) if (/^[A-Z]/.test(line)) t.match(lines[at - 1], /^# \S/, line);
  t.same(
    lines.filter((line) => line !== '' && !line.startsWith('#')),
    [
      '[Unit]',
      'Wants=sluice.service',
      'After=sluice.service',
      'AssertPathExists=/run/sluice/api.sock',
      '[Service]',
      'CapabilityBoundingSet=~CAP_NET_RAW CAP_NET_ADMIN CAP_SYS_ADMIN CAP_BPF CAP_PERFMON CAP_SYS_PTRACE CAP_SYS_MODULE',
      'NoNewPrivileges=yes',
      'RestrictAddressFamilies=',
      'RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK',
      'SystemCallFilter=~io_uring_setup:EPERM io_uring_enter:EPERM io_uring_register:EPERM pidfd_getfd:EPERM ptrace:EPERM process_vm_readv:EPERM process_vm_writev:EPERM',
      'SystemCallArchitectures=native',
    ],
  );
});

t.test('names of units', async (t) => {
  const longest = `${'a'.repeat(247)}.service`;
  for (const name of ['a.service', 'worker@.service', 'worker@eu.service', 'a-b\\x2dc:1_2.service', longest])
    t.doesNotThrow(() => checkUnitName(name), name);
  for (const name of [
    '',
    'billing',
    '.service',
    '@.service',
    '@x.service',
    'a.socket',
    'a.slice',
    '../a.service',
    'a/b.service',
    'a b.service',
    'a\n.service',
    'a.service\n',
    'é.service',
    'sluice.service',
    `a${longest}`,
  ])
    t.throws(() => checkUnitName(name), { code: 'CONFIG', hint: /unit of an agent|full name/ }, name);
  t.same(['a@.service', 'a@b.service', 'a.service'].map(isTemplate), [true, false, false]);
});

t.test('a hardened unit lacks nothing', async (t) => {
  t.same(missing(parseShow(HARDENED)), []);
  const requires = HARDENED.replace(' sluice.service\nReq', '\nReq').replace(
    '=sysinit',
    '=sluice.service sysinit',
  );
  t.same(missing(parseShow(requires)), [], 'Requires= is as good');
  const allowed = HARDENED.replace(/SystemCallFilter=.*/, 'SystemCallFilter=accept read write');
  t.same(missing(parseShow(allowed)), [], 'and so is a list of system calls that has none of them');
});

t.test('each thing it lacks is named', async (t) => {
  const cases: readonly (readonly [RegExp, string, string])[] = [
    [
      /NeedDaemonReload=no/,
      'NeedDaemonReload=yes',
      'its files have changed since systemd read them: systemctl daemon-reload',
    ],
    [/cap_chown/, 'cap_chown cap_net_raw cap_bpf', 'CapabilityBoundingSet= leaves CAP_NET_RAW CAP_BPF'],
    [/AmbientCapabilities=/, 'AmbientCapabilities=cap_net_raw', 'AmbientCapabilities= gives CAP_NET_RAW'],
    [/NoNewPrivileges=yes/, 'NoNewPrivileges=no', 'NoNewPrivileges= is not yes'],
    [/AF_INET AF/, 'AF_PACKET AF_INET AF', 'RestrictAddressFamilies= allows AF_PACKET'],
    [/AF_INET AF/, '~AF_PACKET AF', 'RestrictAddressFamilies= is no list of allowed families'],
    [/(AddressFamilies=).*/, '$1', 'RestrictAddressFamilies= is no list of allowed families'],
    [/ ptrace:EPERM/, '', 'SystemCallFilter= allows ptrace'],
    [/(CallFilter=).*/, '$1read ptrace write', 'SystemCallFilter= allows ptrace'],
    [/native/, 'native x86', 'SystemCallArchitectures= is not native'],
    [/ sluice.service\nReq/, '\nReq', 'neither Wants= nor Requires= has sluice.service'],
    [/(After=sysinit.target) \S+/, '$1', 'After= has no sluice.service'],
  ];
  for (const [from, to, lacking] of cases) {
    const text = HARDENED.replace(from, to);
    t.not(text, HARDENED, 'the case changes something');
    t.same(missing(parseShow(text)), [lacking]);
  }
});

t.test('what systemd does not show is lacking', async (t) => {
  const all = missing(parseShow(''));
  t.equal(all.length, 8);
  t.match(all[0], 'CapabilityBoundingSet= leaves CAP_NET_RAW');
  t.match(all.join('\n'), /SystemCallFilter= allows io_uring_setup/);
});
