/**
 * The kernel plane without a daemon, for what a connection costs: put in force and taken off again within
 * milliseconds, and in its place programs that do nothing. Connections of agents are accepted by whoever made them.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { addon, type NativeObject } from '#src/kernel/addon.ts';
import { cgroupId, findCgroup2, removeCgroup } from '#src/kernel/cgroup.ts';
import type { EnrolmentTables } from '#src/kernel/enrolment.ts';
import { makePinDirectories, pinPaths, removePins } from '#src/kernel/pins.ts';
import { KernelPlane } from '#src/kernel/plane.ts';
import { EventRing } from '#src/kernel/ring.ts';
import { NO_TABLES } from '#test/support/plane.ts';

/** What is attached while connections are made, and who makes them. */
export type Case = 'none' | 'none again' | 'empty' | 'bystander' | 'bystander, large policy' | 'agent';

/** Names that tests clear away if this is killed (host-lock.ts, plane.ts of test/support). */
const NAME = `sluice-test-${process.pid}`;
const PIN_DIRECTORY = `/sys/fs/bpf/${NAME}`;
const AGENT_ID = 1;
const UNKNOWN_ID = 2;
const OTHERS = 3;
const BACKLOG = 128;

const SMALL: EnrolmentTables = { ...NO_TABLES, cgroups: [{ path: `/${NAME}/agent`, agentId: AGENT_ID }] };

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** As much as the tables hold of patterns, and hundreds of everything else; none of it fits the load. */
const LARGE: EnrolmentTables = {
  ...SMALL,
  cgroups: [
    ...SMALL.cgroups,
    ...numbers(256).map((n) => ({ path: `/sluice-*/load-${n}-*`, agentId: OTHERS })),
    ...numbers(500).map((n) => ({ path: `/${NAME}/other-${n}`, agentId: OTHERS })),
  ],
  uids: numbers(300).map((n) => ({ first: 2e6 + n * 100, last: 2e6 + n * 100 + 70, agentId: OTHERS })),
  exes: numbers(300).map((n) => ({ inode: BigInt(2 ** 40 + n), dev: 1, agentId: OTHERS })),
};

export class BenchPlane {
  readonly #root = findCgroup2();
  readonly #home = join(this.#root, NAME);
  readonly #empty: NativeObject;
  readonly #rings: EventRing[] = [];
  readonly #cleanUp = (): void => this.#remove();
  readonly #plane: KernelPlane;
  /** Descriptor of a listener agents are sent to. */
  readonly listener: number;

  /**
   * @param emptyObject the compiled empty.bpf.c
   * @param netns descriptor of the network namespace connections are made in
   */
  constructor(emptyObject: string, netns: number) {
    process.on('exit', this.#cleanUp);
    for (const name of ['self', 'load', 'agent']) mkdirSync(join(this.#home, name), { recursive: true });
    makePinDirectories(PIN_DIRECTORY);
    this.#plane = KernelPlane.load({
      pinDirectory: PIN_DIRECTORY,
      cgroupRoot: this.#root,
      workerUid: 65534,
      selfCgroupId: cgroupId(join(this.#home, 'self')),
      unknownAgentId: UNKNOWN_ID,
    });
    const { fd, port } = this.#plane.listen('127.0.0.1', 0, BACKLOG, netns);
    this.listener = fd;
    this.#plane.setProxyPorts([port]);
    for (const name of ['sluice_ring_flow', 'sluice_ring_deny'] as const)
      this.#rings.push(new EventRing(PIN_DIRECTORY, name, () => false));
    this.#empty = new (addon().BpfObject)(emptyObject, pinPaths(PIN_DIRECTORY).maps);
    this.#empty.load();
  }

  /** Directory of the cgroup the load is to be in. */
  cgroupOf(name: Case): string {
    return join(this.#home, name === 'agent' ? 'agent' : 'load');
  }

  /** Attaches what the case wants, and nothing else. */
  enter(name: Case): void {
    this.#detach();
    if (name === 'none' || name === 'none again') return;
    if (name === 'empty') {
      for (const program of this.#empty.programs())
        this.#empty.attach(program.name, this.#root, pinPaths(PIN_DIRECTORY).link(program.name));
      return;
    }
    this.#plane.setEnrolment(name === 'bystander, large policy' ? LARGE : SMALL);
    this.#plane.attach();
  }

  #detach(): void {
    const { links } = pinPaths(PIN_DIRECTORY);
    for (const name of existsSync(links) ? readdirSync(links) : []) rmSync(join(links, name));
  }

  #remove(): void {
    removePins(PIN_DIRECTORY);
    if (existsSync(this.#home)) removeCgroup(this.#home);
  }

  close(): void {
    for (const ring of this.#rings) ring.close();
    this.#empty.close();
    this.#plane.close();
    addon().closeFd(this.listener);
    process.off('exit', this.#cleanUp);
    this.#remove();
  }
}
