/** The forwarder's datagram sockets: what agents ask, each datagram with the flow it is. */
import { addon, type NativeDatagrams } from './addon.ts';
import type { KernelFlow } from './facts.ts';
import { decodeFlow, layout } from './layout.ts';

export interface Datagram {
  readonly bytes: Buffer;
  readonly kernel: KernelFlow;
  /** Answers the one who sent it; whether the kernel took the answer. */
  readonly answer: (bytes: Uint8Array) => boolean;
}

export interface LentSocket {
  readonly close: () => void;
  /**
   * For a question that came by another way.
   *
   * @param sender 16 bytes; v4 in v4-mapped form, for an IPv4 socket
   */
  readonly answerTo: (sender: Buffer, port: number) => Datagram['answer'];
}

/** A flow without an agent: there is none such, but who sent it must not be guessed. */
const NOBODY = 0;

export class DatagramSockets {
  readonly #native: NativeDatagrams;

  /** Datagrams of more than `maxBytes` are dropped. */
  constructor(maxBytes: number, onDatagram: (datagram: Datagram) => void) {
    this.#native = new (addon().Datagrams)(maxBytes, layout.sluice_flow.size, () => {
      for (const { socket, bytes, from, flow } of this.#native.receive()) {
        const facts = decodeFlow(flow);
        if (facts.agentId === NOBODY) continue;
        const answer = (answer: Uint8Array): boolean => this.#native.send(socket, answer, from);
        onDatagram({ bytes, kernel: { facts, text: flow.toString('hex') }, answer });
      }
    });
  }

  /** Owns `fd`. */
  add(fd: number): LentSocket {
    const socket = this.#native.add(fd);
    return {
      close: () => this.#native.remove(socket),
      answerTo: (sender, port) => (answer) => this.#native.send(socket, answer, sockaddr(sender, port)),
    };
  }

  /** Closes them all. */
  close(): void {
    this.#native.close();
  }
}

const AF_INET = 2;
const AF_INET6 = 10;

/** Whether 16 bytes are an IPv4 address in v4-mapped form (RFC 4291, section 2.5.5.2). */
export function isMapped(address: Buffer): boolean {
  return address.readBigUInt64BE(0) === 0n && address.readUInt32BE(8) === 0xffff;
}

/** `struct sockaddr_in` or `sockaddr_in6` (ip(7), ipv6(7)). */
export function sockaddr(address: Buffer, port: number): Buffer {
  const mapped = isMapped(address);
  const bytes = Buffer.alloc(mapped ? 16 : 28);
  bytes.writeUInt16LE(mapped ? AF_INET : AF_INET6, 0);
  bytes.writeUInt16BE(port, 2);
  if (mapped) address.copy(bytes, 4, 12, 16);
  else address.copy(bytes, 8, 0, 16);
  return bytes;
}
