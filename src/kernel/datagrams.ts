/** The forwarder's datagram socket: what agents ask, each datagram with the flow it is. */
import { addon, type NativeDatagrams } from './addon.ts';
import type { KernelFlow } from './facts.ts';
import { decodeFlow } from './layout.ts';

export interface Datagram {
  readonly bytes: Buffer;
  readonly kernel: KernelFlow;
  /** Answers the one who sent it; whether the kernel took the answer. */
  readonly answer: (bytes: Uint8Array) => boolean;
}

export class DatagramSocket {
  readonly #native: NativeDatagrams;

  /** Owns `fd`. Datagrams of more than `maxBytes` are dropped. */
  constructor(fd: number, maxBytes: number, onDatagram: (datagram: Datagram) => void) {
    this.#native = new (addon().Datagrams)(fd, maxBytes, () => {
      for (const { bytes, from, flow } of this.#native.receive())
        onDatagram({
          bytes,
          kernel: { facts: decodeFlow(flow), text: flow.toString('hex') },
          answer: (answer) => this.#native.send(answer, from),
        });
    });
  }

  close(): void {
    this.#native.close();
  }
}
