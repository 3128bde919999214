/**
 * The ways that are open, by tier, and what would close each. A way that is open and not here fails the test, and so
 * does one that is here and closed: nothing is open in silence, and nothing stays in the limits that need not.
 */
import type { Cell, Family, MatrixResult, Verdict, Who } from './types.ts';

export interface Open {
  readonly row: string;
  readonly who: readonly Who[];
  /** Default: all it is tried over. */
  readonly families?: readonly Family[];
  /** What stops it: a tier, or what an operator can do. */
  readonly closedBy: string;
  /** What README's limits say of it. */
  readonly limit: string;
}

const BOTH: readonly Who[] = ['root', 'user'];
const ROOT: readonly Who[] = ['root'];

/** Nothing that decides by the agent's own sockets can stop these. */
const BEYOND_SOCKETS: readonly Open[] = [
  {
    row: 'unix-helper',
    who: BOTH,
    closedBy: 'enrolling the helper',
    limit: 'Helpers that nobody has closed',
  },
  {
    row: 'uring-shared',
    who: BOTH,
    closedBy: 'enrolling the owner of the ring',
    limit: 'an io_uring that is shared with somebody who is no agent',
  },
  ...['tun', 'mirror'].map(
    (row): Open => ({
      row,
      who: ROOT,
      closedBy: 'taking CAP_NET_ADMIN away',
      limit: "what CAP_NET_ADMIN can do to the host's network",
    }),
  ),
];

const FOREIGN = 'connections, listeners and raw sockets received or inherited from somebody who is no agent';

const BY_LSM: readonly Open[] = [
  ...['packet-datagram', 'packet-raw', 'packet-qdisc-bypass', 'packet-tx-ring', 'packet-obsolete'].map(
    (row): Open => ({ row, who: ROOT, closedBy: 'lsm, or taking CAP_NET_RAW away', limit: 'AF_PACKET' }),
  ),
  { row: 'uring-packet', who: ROOT, closedBy: 'lsm, or taking CAP_NET_RAW away', limit: 'AF_PACKET' },
  { row: 'xdp', who: ROOT, closedBy: 'lsm, or taking CAP_NET_RAW away', limit: 'AF_XDP' },
  { row: 'vsock', who: BOTH, closedBy: 'lsm, or RestrictAddressFamilies=', limit: 'AF_VSOCK' },
  { row: 'AF_LLC', who: ROOT, closedBy: 'lsm, or RestrictAddressFamilies=', limit: 'AF_LLC' },
  {
    row: 'mount-nfs',
    who: ROOT,
    closedBy: 'lsm, or taking CAP_SYS_ADMIN away',
    limit: 'NFS mounted by an agent',
  },
  // Packets of its handshake are on the wire.
  {
    row: 'inherited-sctp',
    who: BOTH,
    closedBy: 'lsm, or a kernel without SCTP',
    limit: 'SCTP sockets that somebody else opened',
  },
  { row: 'inherited-connected', who: BOTH, closedBy: 'lsm', limit: FOREIGN },
  { row: 'inherited-udp-connected', who: BOTH, families: ['4', '6'], closedBy: 'lsm', limit: FOREIGN },
  { row: 'inherited-raw', who: BOTH, closedBy: 'lsm', limit: FOREIGN },
  { row: 'inherited-listener', who: BOTH, closedBy: 'lsm', limit: FOREIGN },
  { row: 'scm-rights-connected', who: BOTH, closedBy: 'lsm', limit: FOREIGN },
  { row: 'pidfd-getfd', who: BOTH, closedBy: 'lsm', limit: FOREIGN },
];

export const DECLARED: Readonly<Record<string, readonly Open[]>> = {
  base: [...BY_LSM, ...BEYOND_SOCKETS],
  lsm: BEYOND_SOCKETS,
};

export function declaredFor(tier: string, cell: Cell): Open | undefined {
  return DECLARED[tier]?.find(
    (open) =>
      open.row === cell.row && open.who.includes(cell.who) && (open.families?.includes(cell.family) ?? true),
  );
}

const SAYS_NOTHING: ReadonlySet<Verdict> = new Set(['not run', 'failed']);

/** What contradicts the declarations, in words; empty when nothing does. */
export function contradictions({ tier, cells }: MatrixResult): string[] {
  if (DECLARED[tier] === undefined) return [`nothing is declared for tier ${tier}`];
  const wrong: string[] = [];
  for (const cell of cells) {
    const name = `${cell.row} (${cell.who}, ${cell.family})`;
    const declared = declaredFor(tier, cell) !== undefined;
    if (cell.verdict === 'failed') wrong.push(`${name} could not be tried: ${cell.detail}`);
    if (cell.verdict === 'open' && !declared) wrong.push(`${name} is open and not declared: ${cell.detail}`);
    if (!SAYS_NOTHING.has(cell.verdict) && cell.verdict !== 'open' && declared)
      wrong.push(`${name} is declared open and is ${cell.verdict} ${cell.detail}`);
  }
  return wrong;
}
