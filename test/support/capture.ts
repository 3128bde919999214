/**
 * A packet capture on one device of a world, and what it is asked as a judge.
 *
 * It is only believed when it saw everything: `start` returns once tcpdump listens, `packets` first waits until
 * a datagram sent for the purpose has come through, and a packet the kernel dropped is an error.
 */
import { closeSync, mkdirSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { totalmem } from 'node:os';
import { dirname } from 'node:path';
import { must, type Running, until } from './command.ts';
import { BOX_GATEWAY, FAR, type Namespace, type Network } from './network.ts';
import { type Conversation, conversations, findMarkers, type Packet, parsePcap, wireOf } from './pcap.ts';

/**
 * `wire`: the far end of the pair, all that left the host; `loopback`: what agents hand to the proxy; `box`: the far
 * end of the box's own pair, all that left a network namespace of its own (box.ts).
 */
export type CapturePoint = 'wire' | 'loopback' | 'box';

/** A way into a network namespace. */
export type Inside = Pick<Namespace, 'wrap'>;

/** Where tcpdump listens, and from where a datagram to which address is seen there. */
interface Place {
  readonly netns: Namespace;
  readonly device: string;
  readonly from: Inside;
  readonly target: string;
}

function placeOf(network: Network, point: CapturePoint, box: Inside | null): Place {
  const { near, far } = network;
  if (point === 'loopback') return { netns: near, device: 'lo', from: near, target: '127.0.0.1' };
  if (point === 'wire') return { netns: far, device: FAR.device, from: near, target: FAR.ipv4 };
  if (box === null) throw new Error('this world has no box');
  return { netns: far, device: BOX_GATEWAY.device, from: box, target: BOX_GATEWAY.ipv4 };
}

/** The discard port: nobody listens, and the answer (port unreachable) is as good as none. */
const SENTINEL_PORT = 9;

const SEND_AGAIN_MS = 1_000;

/** Some four thousand packets; a guest has not the memory for so many. */
const BUFFER_KIB = totalmem() > 8 * 2 ** 30 ? 262_144 : 131_072;

export class Capture {
  readonly #place: Place;
  readonly #file: string;
  readonly #tcpdump: Running;
  #sentinels = 0;

  private constructor(place: Place, file: string, tcpdump: Running) {
    this.#place = place;
    this.#file = file;
    this.#tcpdump = tcpdump;
  }

  static async start(
    network: Network,
    point: CapturePoint,
    file: string,
    box: Inside | null = null,
  ): Promise<Capture> {
    mkdirSync(dirname(file), { recursive: true });
    const place = placeOf(network, point, box);
    const { netns, device } = place;
    // -Z root: Debian's tcpdump would become another user, who may not write here. -B: room for bursts, in KiB. It is
    // divided into slots of the length of -s, so that is no longer than the longest segment offload makes.
    // And before all others: under load it would be the judge that loses packets.
    const argv = ['nice', '-n', '-20', 'tcpdump', '-i', device, '-n', '-U', ...['-s', '66000'], '-Z', 'root'];
    argv.push('-B', String(BUFFER_KIB));
    argv.push('-w', file);
    const tcpdump = netns.start([...argv, '--immediate-mode']);
    await tcpdump.waitFor((r) => /listening on/.test(r.stderr));
    return new Capture(place, file, tcpdump);
  }

  /** Everything captured up to now, our own sentinels left out. */
  async packets(): Promise<Packet[]> {
    await this.#catchUp();
    const sentinel = (p: Packet): boolean =>
      (p.transport === 'udp' && p.dstPort === SENTINEL_PORT) ||
      (p.transport === 'icmp' && p.payload.includes('capture-sentinel-'));
    return parsePcap(readFileSync(this.#file)).filter((packet) => !sentinel(packet));
  }

  /** The file itself up to now, for what is in no IP packet. */
  async bytes(): Promise<Buffer> {
    await this.#catchUp();
    return readFileSync(this.#file);
  }

  /** TCP conversations, optionally only those to one server port. */
  async conversations(serverPort?: number): Promise<Conversation[]> {
    const all = conversations(await this.packets());
    return serverPort === undefined ? all : all.filter((c) => c.serverPort === serverPort);
  }

  /** Where the markers show; empty when they do not. */
  async markersSeen(markers: readonly string[]): Promise<string[]> {
    return findMarkers(await this.packets(), markers);
  }

  /** Throws unless none of `markers` is anywhere in what was captured. */
  async assertNoPlaintext(markers: readonly string[]): Promise<void> {
    const seen = await this.markersSeen(markers);
    if (seen.length > 0) throw new Error(`plain text crossed: ${seen.join('; ')}`);
  }

  /**
   * Throws unless every TCP conversation (with one server port, if given) was TLS in all it sent, or sent nothing.
   * Returns how many were TLS. Of one whose client broke it off a piece may be missing, for it is not sent again when it
   * was lost: a worker that is killed on a busy host. What came before that is judged.
   */
  async assertAllTls(serverPort?: number): Promise<number> {
    let count = 0;
    for (const c of await this.conversations(serverPort)) {
      const where = `${c.client}:${c.clientPort} > ${c.server}:${c.serverPort}`;
      if (!c.whole && c.resetBy !== 'client')
        throw new Error(
          `the capture has a gap in ${where}, behind ${c.toServer.length} and ${c.toClient.length} bytes: it cannot be judged`,
        );
      const wire = wireOf(c.toServer);
      if (wire === 'plain')
        throw new Error(`${where} is not TLS: ${JSON.stringify(c.toServer.toString('latin1', 0, 80))}`);
      if (wire === 'tls' || wire === 'postgres-tls') count += 1;
    }
    return count;
  }

  /** Ends the capture after everything up to now has been written. */
  async stop(): Promise<void> {
    if (this.#tcpdump.ended) return;
    await this.#catchUp();
    const { stderr } = await this.#tcpdump.stop('SIGINT');
    const dropped = /(\d+) packets dropped by kernel/.exec(stderr)?.[1];
    if (dropped !== '0') throw new Error(`the capture lost packets, so it cannot judge: ${stderr}`);
  }

  async #catchUp(): Promise<void> {
    if (this.#tcpdump.ended) return;
    this.#sentinels += 1;
    const text = `capture-sentinel-${process.pid}-${this.#sentinels};`;
    const { from, target } = this.#place;
    const before = statSync(this.#file).size;
    const send = `printf '%s' "$1" >"/dev/udp/$2/$3"`;
    const sentinel = from.wrap(['bash', '-c', send, 'bash', text, target, String(SENTINEL_PORT)]);
    let sentMs = Number.NEGATIVE_INFINITY;
    await until(`the capture to see ${text}`, async () => {
      // A datagram may be lost where a queue is full.
      if (performance.now() - sentMs > SEND_AGAIN_MS) {
        await must(sentinel);
        sentMs = performance.now();
      }
      // Looked for from where the file ended before, so that a long capture is not read over and over.
      return tailOf(this.#file, Math.max(0, before - 64)).includes(text);
    });
  }
}

function tailOf(file: string, from: number): Buffer {
  const tail = Buffer.alloc(Math.max(0, statSync(file).size - from));
  const fd = openSync(file, 'r');
  try {
    return tail.subarray(0, readSync(fd, tail, 0, tail.length, from));
  } finally {
    closeSync(fd);
  }
}
