/**
 * What came of an attempt. The far side's capture decides: what the test program says of its own calls only tells a
 * refusal from a loss.
 */
import type { Packet } from '../pcap.ts';
import type { Cell, Said, Tried, Verdict } from './types.ts';

/** Errors of a connection to which nobody answered. */
const NO_ANSWER = new Set(['ETIMEDOUT', 'EAGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);

export interface Evidence {
  /** All packets on the far side's device. */
  readonly packets: readonly Packet[];
  /** The capture as it is, for what is in no IP packet. */
  readonly raw: Buffer;
  /** What the far side's TLS server got, decrypted. */
  readonly delivered: Buffer;
  /** Where that server listens. */
  readonly tlsPort: number;
}

export class Judge {
  readonly #evidence: Evidence;
  readonly #byAddress = new Map<string, Packet[]>();

  constructor(evidence: Evidence) {
    this.#evidence = evidence;
    for (const packet of evidence.packets)
      for (const address of [packet.src, packet.dst]) {
        const of = this.#byAddress.get(address);
        if (of === undefined) this.#byAddress.set(address, [packet]);
        else of.push(packet);
      }
  }

  /** Packets to or from the attempt's address that are not the proxy's own connections to the TLS server. */
  strayPackets(address: string): readonly Packet[] {
    const { tlsPort } = this.#evidence;
    const proxied = (p: Packet): boolean =>
      p.transport === 'tcp' && (p.src === address ? p.srcPort : p.dstPort) === tlsPort;
    return (this.#byAddress.get(address) ?? []).filter((packet) => !proxied(packet));
  }

  judge(tried: Tried): Cell {
    const { row, who, family } = tried;
    const cell = (verdict: Verdict, detail = ''): Cell => ({ row: row.name, who, family, verdict, detail });
    const { said, canary } = tried;
    if (tried.stolen) return cell('open', 'taken by somebody else');
    if (this.#evidence.raw.includes(canary)) return cell('open', 'plain bytes on the wire');
    const address = tried.address.replace(/^::ffff:/, '');
    if (row.openedOutside !== true && this.strayPackets(address).length > 0)
      return cell('open', 'packets on the wire');
    if (said.said === 'given') return cell('open', 'the socket was handed out');
    if (said.said === 'not run') return cell('not run', said.why);
    if (said.said === 'failed') return cell('failed', said.why);
    if (said.said === 'tally') return cell(...this.#tally(tried, said));
    if (this.#evidence.delivered.includes(canary)) return cell('redirected');
    if (said.said === 'sent') return cell('dropped');
    if (NO_ANSWER.has(said.errno)) return cell('dropped');
    return cell('refused', `${said.errno} at ${said.step}`);
  }

  #tally(tried: Tried, said: Extract<Said, { said: 'tally' }>): [Verdict, string] {
    const tries = said.answered + said.refused + said.lost;
    if (tries < tried.times)
      return ['open', `${tried.times - tries} of ${tried.times} were not accounted for`];
    return said.answered === tries ? ['redirected', ''] : ['held', ''];
  }
}
