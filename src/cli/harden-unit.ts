/**
 * The systemd drop-in that closes, for the unit of an agent, what tier `base` leaves open and a unit can close; and the
 * comparison of a unit, as systemd has it, with that. No I/O here.
 *
 * Every line only ever takes away, whatever else the unit says, but one: the list of address families is set anew,
 * because lists of systemd.exec(5) merge, and merged with a list of refused families one of allowed ones means nothing.
 */
import { SluiceError } from '../core/errors.ts';

/** The first line of a file that is ours to overwrite. */
export const MARKER = '# Written by: sluice unit harden';
const DAEMON_UNIT = 'sluice.service';
/** There while the daemon runs; systemd removes it with the daemon's RuntimeDirectory=. */
const API_SOCKET = '/run/sluice/api.sock';

const CAPABILITIES = [
  'CAP_NET_RAW',
  'CAP_NET_ADMIN',
  'CAP_SYS_ADMIN',
  'CAP_BPF',
  'CAP_PERFMON',
  'CAP_SYS_PTRACE',
  'CAP_SYS_MODULE',
];
const FAMILIES = ['AF_INET', 'AF_INET6', 'AF_UNIX', 'AF_NETLINK'];
const SYSTEM_CALLS = [
  'io_uring_setup',
  'io_uring_enter',
  'io_uring_register',
  'pidfd_getfd',
  'ptrace',
  'process_vm_readv',
  'process_vm_writev',
];

interface Line {
  readonly text: string;
  /** Rows of test/support/bypass/declared.ts that it closes. */
  readonly closes: readonly string[];
  readonly why: string;
}

const UNIT_LINES: readonly Line[] = [
  {
    text: `Wants=${DAEMON_UNIT}`,
    closes: [],
    why: 'no row; after a reboot nothing is in force until the daemon runs',
  },
  { text: `After=${DAEMON_UNIT}`, closes: [], why: 'no row; ready is when agents are governed' },
  {
    text: `AssertPathExists=${API_SOCKET}`,
    closes: [],
    why: `no row; refuses to start without the daemon, as Requires= would, which would also restart this unit with it`,
  },
];

const SERVICE_LINES: readonly Line[] = [
  {
    text: `CapabilityBoundingSet=~${CAPABILITIES.join(' ')}`,
    closes: [
      'packet-datagram',
      'packet-raw',
      'packet-qdisc-bypass',
      'packet-tx-ring',
      'packet-obsolete',
      'uring-packet',
      'xdp',
      'tun',
      'mirror',
      'mount-nfs',
    ],
    why: 'the others undo Sluice itself (AmbientCapabilities= of the unit passes by it: see --check)',
  },
  { text: 'NoNewPrivileges=yes', closes: [], why: 'no row; set-user-ID programs give nothing back' },
  {
    text: 'RestrictAddressFamilies=',
    closes: [],
    why: 'no row; forgets what the unit says, which would be merged',
  },
  {
    text: `RestrictAddressFamilies=${FAMILIES.join(' ')}`,
    closes: [
      'vsock',
      'AF_LLC',
      'packet-datagram',
      'packet-raw',
      'packet-qdisc-bypass',
      'packet-tx-ring',
      'xdp',
    ],
    why: 'and every other family',
  },
  {
    text: `SystemCallFilter=${SYSTEM_CALLS.map((name, at) => `${at === 0 ? '~' : ''}${name}:EPERM`).join(' ')}`,
    closes: ['uring-packet', 'pidfd-getfd'],
    why: 'io_uring makes sockets past RestrictAddressFamilies=; ptrace and its like make a helper of any process',
  },
  {
    text: 'SystemCallArchitectures=native',
    closes: [],
    why: 'no row; socketcall(2) of 32 bit passes by RestrictAddressFamilies=',
  },
];

/** Rows that stay open at tier `base`, whatever a drop-in says. */
const STAYS_OPEN = [
  'unix-helper',
  'uring-shared',
  'inherited-sctp',
  'inherited-connected',
  'inherited-udp-connected',
  'inherited-raw',
  'inherited-listener',
  'scm-rights-connected',
];

/** All rows it closes, and all it leaves, for comparison with what is declared open. */
export const COVERAGE = {
  closes: [...new Set(SERVICE_LINES.flatMap(({ closes }) => closes))],
  leaves: STAYS_OPEN,
};

/** A service, instance or template, by systemd.unit(5): at most 255 bytes, and nothing that leads to another directory. */
const SERVICE = /^[A-Za-z0-9:_.\\-][A-Za-z0-9:_.\\@-]{0,246}\.service$/;

/** Throws SluiceError `CONFIG` unless `name` is the full name of a service that can be an agent. */
export function checkUnitName(name: string): void {
  if (name === DAEMON_UNIT)
    throw new SluiceError('CONFIG', `${DAEMON_UNIT} is the daemon, which needs these rights`, {
      hint: 'name the unit of an agent',
    });
  if (!SERVICE.test(name))
    throw new SluiceError('CONFIG', `no name of a systemd service: ${name}`, {
      hint: 'give the full name, as systemctl prints it: billing.service, worker@.service, worker@eu.service',
    });
}

/** `worker@.service`: it has instances, and is none. */
export function isTemplate(name: string): boolean {
  return name.endsWith('@.service');
}

/** The text of the drop-in. `unit` has been through checkUnitName. */
export function dropIn(unit: string): string {
  const write = ({ text, closes, why }: Line): string =>
    `# ${closes.length === 0 ? '' : `${closes.join(', ')}; `}${why}\n${text}`;
  return `${MARKER} ${unit}
# Above each line: the rows of docs/bypass-matrix.md, open at tier base, that it closes.
# Left open, as no drop-in can close them: ${STAYS_OPEN.join(', ')}.
# No RestrictNamespaces=: network namespaces that an agent makes are intercepted.
[Unit]
${UNIT_LINES.map(write).join('\n')}

[Service]
${SERVICE_LINES.map(write).join('\n')}
`;
}

/** Properties that `missing` looks at. */
export const PROPERTIES = [
  'LoadState',
  'NeedDaemonReload',
  'CapabilityBoundingSet',
  'AmbientCapabilities',
  'NoNewPrivileges',
  'RestrictAddressFamilies',
  'SystemCallFilter',
  'SystemCallArchitectures',
  'Wants',
  'Requires',
  'BindsTo',
  'After',
];

/** `NAME=value` lines of systemctl show(1), by name. */
export function parseShow(text: string): ReadonlyMap<string, string> {
  const properties = new Map<string, string>();
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at > 0) properties.set(line.slice(0, at), line.slice(at + 1));
  }
  return properties;
}

/** What the unit lacks, one line each; empty: nothing. A property systemd does not show is lacking. */
export function missing(properties: ReadonlyMap<string, string>): string[] {
  const words = (name: string): string[] =>
    (properties.get(name) ?? '').split(' ').filter((word) => word !== '');
  const found: string[] = [];
  if (properties.get('NeedDaemonReload') === 'yes')
    found.push('its files have changed since systemd read them: systemctl daemon-reload');

  for (const [name, gives] of [
    ['CapabilityBoundingSet', 'leaves'],
    ['AmbientCapabilities', 'gives'],
  ] as const) {
    const has = new Set(words(name).map((word) => word.toUpperCase()));
    const shown = properties.has(name);
    const bad = CAPABILITIES.filter((capability) => !shown || has.has(capability));
    if (bad.length > 0) found.push(`${name}= ${gives} ${bad.join(' ')}`);
  }

  if (properties.get('NoNewPrivileges') !== 'yes') found.push('NoNewPrivileges= is not yes');

  const families = words('RestrictAddressFamilies');
  if (families.length === 0 || families[0]?.startsWith('~'))
    found.push('RestrictAddressFamilies= is no list of allowed families');
  else {
    const more = families.filter((family) => family !== 'none' && !FAMILIES.includes(family));
    if (more.length > 0) found.push(`RestrictAddressFamilies= allows ${more.join(' ')}`);
  }

  const calls = words('SystemCallFilter');
  const refusing = calls.length === 0 || calls[0]?.startsWith('~') === true;
  const named = new Set(calls.map((call) => call.replace(/^~/, '').replace(/:.*/, '')));
  const open = SYSTEM_CALLS.filter((call) => named.has(call) !== refusing);
  if (open.length > 0) found.push(`SystemCallFilter= allows ${open.join(' ')}`);
  if (words('SystemCallArchitectures').join(' ') !== 'native')
    found.push('SystemCallArchitectures= is not native');

  if (!['Wants', 'Requires', 'BindsTo'].some((name) => words(name).includes(DAEMON_UNIT)))
    found.push(`neither Wants= nor Requires= has ${DAEMON_UNIT}`);
  if (!words('After').includes(DAEMON_UNIT)) found.push(`After= has no ${DAEMON_UNIT}`);
  return found;
}
