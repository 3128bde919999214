import t from 'tap';
import { systemClock } from '#src/core/clock.ts';
import { Namespaces, type NamespacesOptions } from '#src/daemon/namespaces.ts';
import { decodeNamespaceMessage } from '#src/proxy/namespace-line.ts';

const HOME = { cookie: 1n, inode: 1000 };

interface Task {
  readonly cookie: bigint;
  readonly ownerUid?: number | null;
}

/** A host of tasks in namespaces: what the kernel would say is said by its tables. */
class Host {
  readonly tasks = new Map<number, Task>();
  readonly tagged = new Set<number>();
  readonly open = new Map<number, string>();
  readonly states = new Map<bigint, string>();
  readonly sent: { worker: number; type: string; cookie: bigint; fds: number }[] = [];
  readonly forwarded: { type: string; cookie: bigint; fds: readonly (string | undefined)[] }[] = [];
  readonly log: string[] = [];
  readonly namespaces: Namespaces;
  failing: Error | null = null;
  #fd = 10;

  constructor(options: Partial<NamespacesOptions> = {}) {
    this.namespaces = new Namespaces({
      home: HOME,
      workers: 2,
      ports: [4000, 4001],
      dnsPort: 4053,
      open: (tid) => {
        const task = this.tasks.get(tid);
        if (task === undefined) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
        const { cookie, ownerUid = null } = task;
        return { fd: this.#make('namespace'), cookie, inode: inodeOf(cookie), ownerUid };
      },
      inodeOf: (tid) => {
        const task = this.tasks.get(tid);
        return task === undefined ? null : inodeOf(task.cookie);
      },
      listen: (ip) => {
        if (this.failing !== null) throw this.failing;
        return { fd: this.#make(ip) };
      },
      listenUdp: (ip, port) => ({ fd: this.#make(`udp ${ip} ${port}`) }),
      makeSockets: (_netns, _family, count) => Array.from({ length: count }, () => this.#make('socket')),
      closeFd: (fd) => void this.open.delete(fd),
      setState: (cookie, state) => void this.states.set(cookie, state),
      forget: (cookie) => void this.states.delete(cookie),
      taggedPids: () => [...this.tagged],
      toWorker: (worker, message, fds) => this.#note(worker, message, fds),
      toForwarder: (message, fds) => {
        const { type, netnsCookie } = decodeNamespaceMessage(message);
        this.forwarded.push({ type, cookie: netnsCookie, fds: fds.map((fd) => this.open.get(fd)) });
      },
      nowNs: () => 0n,
      clock: { ...systemClock, monotonic: () => 0 },
      log: (message) => this.log.push(message),
      ...options,
    });
  }

  #make(what: string): number {
    this.#fd += 1;
    this.open.set(this.#fd, what);
    return this.#fd;
  }

  claims(worker: number, claim: Readonly<Record<string, unknown>>): void {
    this.namespaces.socketsFor(worker, claim, (message, fds) => this.#note(worker, message, fds));
  }

  #note(worker: number, message: Buffer, fds: readonly number[]): void {
    const { type, netnsCookie } = decodeNamespaceMessage(message);
    this.sent.push({ worker, type, cookie: netnsCookie, fds: fds.length });
  }

  /** A task is in a namespace, is an agent, and the kernel tells of it. */
  enters(tid: number, cookie: bigint, task: Partial<Task> = {}): void {
    this.tasks.set(tid, { cookie, ...task });
    this.tagged.add(tid);
    this.namespaces.wanted({ cookie, tid, question: null });
  }

  leaves(tid: number): void {
    this.tasks.delete(tid);
    this.tagged.delete(tid);
  }

  get served(): number {
    return this.namespaces.served().length;
  }
}

function inodeOf(cookie: bigint): number {
  return 999 + Number(cookie);
}

t.test('a namespace with an agent has a listener for each worker, port and family', async (t) => {
  const host = new Host();
  host.enters(50, 7n);
  t.same(host.namespaces.served(), [{ netns: 'net:[1006]', addresses: ['127.0.0.1', '::1'] }]);
  t.equal(host.states.get(7n), 'open');
  t.same(
    host.sent.map(({ worker, type, fds }) => [worker, type, fds]),
    [
      [0, 'listen', 4],
      [1, 'listen', 4],
    ],
  );
  host.namespaces.wanted({ cookie: 7n, tid: 50, question: null });
  host.namespaces.wanted({ cookie: HOME.cookie, tid: 50, question: null });
  t.equal(host.sent.length, 2, 'once');
  host.namespaces.workerReady(1);
  t.match(host.sent.at(-1), { worker: 1, type: 'listen', fds: 4 }, 'a new worker gets its own');
});

t.test('the forwarder has its sockets there before any worker has a listener', async (t) => {
  const host = new Host();
  host.enters(50, 7n);
  const lent = {
    type: 'forward',
    cookie: 7n,
    fds: ['udp 127.0.0.1 4053', 'udp ::1 4053', '127.0.0.1', '::1'],
  };
  t.same(host.forwarded, [lent]);
  t.ok(Math.max(...[...host.open].filter(([, what]) => what.startsWith('udp')).map(([fd]) => fd)) < 14);
  host.namespaces.forwarderReady();
  t.same(host.forwarded, [lent, lent], 'a new one gets them as well');
  host.leaves(50);
  host.namespaces.tick();
  t.same(host.forwarded.at(-1), { type: 'close', cookie: 7n, fds: [] });
});

t.test(
  'a question that came too early follows the sockets; where there are none it is dropped',
  async (t) => {
    const host = new Host();
    const question = { sender: Buffer.alloc(16), port: 7, flow: Buffer.alloc(96), bytes: Buffer.alloc(512) };
    host.tasks.set(50, { cookie: 7n });
    host.namespaces.wanted({ cookie: 7n, tid: 50, question });
    t.same(
      host.forwarded.map(({ type }) => type),
      ['forward', 'question'],
    );
    host.tasks.set(51, { cookie: 8n, ownerUid: 1000 });
    host.namespaces.wanted({ cookie: 8n, tid: 51, question });
    host.namespaces.wanted({ cookie: HOME.cookie, tid: 52, question });
    t.equal(host.forwarded.length, 2);
  },
);

t.test('without the forwarder’s sockets there is no listener either', async (t) => {
  const host = new Host({
    listenUdp: () => {
      throw Object.assign(new Error('in use'), { code: 'EADDRINUSE' });
    },
  });
  host.enters(50, 7n);
  t.equal(host.states.get(7n), 'refused');
  t.same([...host.open], []);
});

t.test('it is closed with its last agent, and every descriptor with it', async (t) => {
  const host = new Host();
  host.enters(50, 7n);
  host.enters(51, 7n);
  host.leaves(50);
  host.namespaces.tick();
  t.equal(host.served, 1, 'another agent is there');
  host.tasks.set(51, { cookie: HOME.cookie });
  host.namespaces.tick();
  t.equal(host.served, 0, 'it has left');
  t.same([...host.open], []);
  t.equal(host.states.has(7n), false);
  t.same(
    host.sent.filter(({ type }) => type === 'close').map(({ worker }) => worker),
    [0, 1],
  );
});

t.test('a witness that is no agent any more keeps nothing open', async (t) => {
  const host = new Host();
  host.enters(50, 7n);
  host.tagged.delete(50);
  host.namespaces.search();
  t.equal(host.served, 0);
  host.tagged.add(50);
  host.namespaces.search();
  t.equal(host.served, 1, 'and a search finds who is there already');
});

t.test('a task that ended or moved on is no evidence', async (t) => {
  const host = new Host();
  host.namespaces.wanted({ cookie: 7n, tid: 50, question: null });
  host.tasks.set(51, { cookie: 8n });
  host.namespaces.wanted({ cookie: 7n, tid: 51, question: null });
  t.equal(host.served, 0);
  t.same([...host.open], []);
  t.equal(host.states.size, 0, 'so that the kernel asks again at once');
});

t.test(
  'one that an unprivileged user made is refused; one that root made for a container is not',
  async (t) => {
    const host = new Host();
    host.enters(50, 7n, { ownerUid: 1000 });
    t.equal(host.states.get(7n), 'refused');
    t.same([...host.open], []);
    t.match(host.log[0], /net:\[1006\] was made by user 1000/);
    host.enters(51, 8n, { ownerUid: 0 });
    t.equal(host.states.get(8n), 'open');
    t.match(host.namespaces.counters(), { served: 1, opened: 1, refused_owner: 1 });
  },
);

t.test('they are bounded, and so is what is logged of those beyond', async (t) => {
  const host = new Host();
  for (let index = 0; index < 300; index += 1) host.enters(5000 + index, BigInt(10 + index));
  t.equal(host.served, 256);
  t.equal(host.states.get(309n), 'refused');
  t.match(host.namespaces.counters(), { served: 256, refused_limit: 44 });
  t.equal(host.log.length, 3);
  host.namespaces.close();
  t.equal(host.open.size, 0);
});

t.test('where no listener can be opened nothing is left behind', async (t) => {
  const host = new Host();
  host.failing = Object.assign(new Error('in use'), { code: 'EADDRINUSE' });
  host.enters(50, 7n);
  t.equal(host.states.get(7n), 'refused');
  t.same([...host.open], []);
  host.failing = null;
  host.namespaces.wanted({ cookie: 7n, tid: 50, question: null });
  t.equal(host.states.get(7n), 'open', 'and it may succeed later');
});

t.test('on many cores a few workers share a namespace, others the next', async (t) => {
  const host = new Host({ workers: 6 });
  host.enters(50, 7n);
  host.enters(51, 8n);
  t.same(
    host.sent.map(({ worker }) => worker),
    [0, 1, 2, 3, 4, 5, 0, 1],
  );
});

t.test('a worker gets sockets where it has a listener, and nothing by any other claim', async (t) => {
  const host = new Host({ workers: 6 });
  host.enters(50, 7n);
  const before = host.open.size;
  host.sent.length = 0;
  host.claims(2, { netnsCookie: '7', family: 6, count: 5 });
  t.match(host.sent, [{ worker: 2, type: 'sockets', cookie: 7n, fds: 5 }]);
  t.equal(host.open.size, before, 'the daemon keeps none of them');
  host.sent.length = 0;
  for (const claim of [
    {},
    { netnsCookie: 7n, family: 4, count: 1 },
    { netnsCookie: '-7', family: 4, count: 1 },
    { netnsCookie: '7', family: 5, count: 1 },
    { netnsCookie: '7', family: 4, count: 0 },
    { netnsCookie: '7', family: 4, count: 33 },
    { netnsCookie: '7', family: 4, count: 1.5 },
  ])
    host.claims(2, claim);
  t.same(host.sent, []);
  host.claims(5, { netnsCookie: '7', family: 4, count: 1 });
  host.claims(2, { netnsCookie: '1', family: 4, count: 1 });
  t.same(
    host.sent.map(({ type, fds }) => [type, fds]),
    [
      ['close', 0],
      ['close', 0],
    ],
  );
});
