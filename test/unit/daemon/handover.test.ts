import t from 'tap';
import { fitting, type Handover } from '#src/daemon/handover.ts';
import { presentFlowLayout } from '#src/kernel/migrate/flow-layout.ts';

/** With so many namespaces, each with nine descriptors, beside five others. */
function handover(count: number): Handover {
  const namespaces = Array.from({ length: count }, (_, n) => {
    const fd = (index: number): number => 1000 + n * 9 + index;
    return {
      handle: { fd: fd(0), cookie: BigInt(n), inode: n, ownerUid: null },
      lent: [{ worker: 0, fds: [fd(1), fd(2), fd(3), fd(4)], families: [4, 6, 4, 6] as const }],
      dns: { datagrams: [fd(5), fd(6)], listeners: [fd(7), fd(8)] },
    };
  });
  return {
    mark: 1n,
    listeningSinceNs: 0n,
    listeners: { ports: [1], addresses: ['127.0.0.1'], byWorker: [[{ fd: 10, family: 4 }]] },
    dnsSockets: { port: 2, datagrams: [{ fd: 11, family: 4 }], listeners: [{ fd: 12, family: 4 }] },
    namespaces,
    workers: [
      {
        number: 0,
        pid: 7,
        openFlows: 1,
        drainUntilMs: 0,
        channelFd: 13,
        processFd: 14,
        flowLayout: presentFlowLayout,
      },
    ],
    openFlows: [],
  };
}

t.test('what does not fit the store is namespaces, the last of them', async (t) => {
  const whole = handover(4);
  t.strictSame(fitting(whole, 41), whole);
  t.strictSame(fitting(whole, 40).namespaces, whole.namespaces.slice(0, 3));
  t.strictSame(fitting(whole, 23), { ...whole, namespaces: whole.namespaces.slice(0, 2) });
  t.strictSame(fitting(whole, 1).namespaces, []);
  t.strictSame(fitting(handover(200)).namespaces.length, 200);
});
