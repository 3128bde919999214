/**
 * Puts the programs of this ABI in the place of those of another, with all they know, and at no moment without either.
 *
 * 1. The maps of this ABI are made beside the former ones and filled; the programs are loaded against them and attached
 *    behind the former ones. Their configuration has the generation 0: they find no agent, and decide nothing.
 * 2. Each former program at a cgroup gives its link to one that stands in for it (bpf/migrate/hooks.bpf.c): that calls it
 *    while the generation is 0, and otherwise brings along what the programs of this ABI are about to ask for.
 * 3. The generation is written. At this one moment, for all hooks, the former programs decide no more and the new ones do.
 * 4. What nobody has asked for is moved, and the former links, programs and maps are let go of.
 *
 * It can be cut short anywhere: before the third step the next daemon undoes it, after that it goes on (stage.ts).
 */
import { existsSync } from 'node:fs';
import { addon, buildPaths, kernelError, type NativeObject } from '../addon.ts';
import { encodeU32 } from '../layout.ts';
import { pinPaths, programTypes, stagePaths } from '../pins.ts';
import { Copy } from './copy.ts';
import { FORMER_PROGRAM, openStage, takeLinks, takeMaps, undo, VIA } from './stage.ts';

export interface Attachable {
  readonly object: NativeObject;
  readonly programs: readonly string[];
}

export interface MigrationOptions {
  readonly cgroupRoot: string;
  /** Puts the generation in force: from then on the programs of this ABI decide. */
  readonly putInForce: () => void;
  /** Replaces the programs of the BPF LSM, which a former daemon has attached; they use maps of this directory. */
  readonly replaceLsm: (maps: string) => void;
  readonly log: (message: string) => void;
}

export interface Step {
  readonly name: string;
  readonly run: () => void;
}

/** An array of programs that every former version has something for, by which the layout of its events is known. */
const EVENTS_BY = `${FORMER_PROGRAM}connect4`;

export class Migration {
  readonly #directory: string;
  readonly #resumes: boolean;
  readonly #copy: Copy;
  readonly #objects: NativeObject[] = [];
  #inForce: boolean;

  /** Makes the place for the maps of this ABI. */
  constructor(pinDirectory: string, resumes: boolean) {
    this.#directory = pinDirectory;
    this.#resumes = resumes;
    this.#inForce = resumes;
    openStage(pinDirectory);
    this.#copy = new Copy(pinPaths(pinDirectory).maps, stagePaths(pinDirectory).maps);
  }

  /** Where the programs of this ABI have their maps until the last step. */
  get maps(): string {
    return stagePaths(this.#directory).maps;
  }

  /** What a process was found to be is not taken over. */
  untag(pid: number): void {
    const tags = new (addon().BpfMap)(pinPaths(this.#directory).map('sluice_tags'));
    tags.delete(encodeU32(pid));
    tags.close();
  }

  /**
   * All there is to do, in order. Each may be done again.
   *
   * @param programs those of this ABI, loaded
   * @throws SluiceError ABI_MISMATCH when the former state cannot be read; nothing has changed then
   */
  steps(programs: readonly Attachable[], options: MigrationOptions): readonly Step[] {
    const { maps } = pinPaths(this.#directory);
    const next = stagePaths(this.#directory);
    const hooks = this.#load('hooks');
    const mover = this.#load('move');
    this.#copy.writePlans();
    const socks = `${maps}/sluice_socks`;
    const before: readonly Step[] = [
      { name: 'attach behind', run: () => this.#attachBehind(programs, hooks, options.cgroupRoot) },
      { name: 'move listeners', run: () => mover.iterateMap('sluice_move_listeners', socks) },
      { name: 'copy tables', run: () => this.#copy.copyTables() },
      { name: 'stand in', run: () => this.#standIn(hooks, options.cgroupRoot) },
      {
        name: 'put in force',
        run: () => {
          options.putInForce();
          this.#inForce = true;
        },
      },
    ];
    const after: readonly Step[] = [
      // What a program of before had begun, it has ended: its state is as it leaves it.
      { name: 'wait', run: () => addon().waitForPrograms() },
      { name: 'move sockets', run: () => mover.iterateMap('sluice_move_socks', socks) },
      { name: 'move processes', run: () => void mover.iterate('sluice_move_tasks', 0, 1) },
      { name: 'move what waits', run: () => this.#copy.moveWaiting() },
      { name: 'copy the rest', run: () => this.#copy.copyTables() },
      { name: 'replace the LSM', run: () => options.replaceLsm(next.maps) },
      { name: 'take links', run: () => existsSync(next.links) && takeLinks(this.#directory) },
      { name: 'wait for the last', run: () => addon().waitForPrograms() },
      { name: 'move counts', run: () => this.#copy.moveCounts(mover) },
      { name: 'move events', run: () => this.#moveEvents(mover, options.log) },
      { name: 'take maps', run: () => takeMaps(this.#directory) },
    ];
    return this.#resumes ? after : [...before, ...after];
  }

  #load(file: string): NativeObject {
    const path = `${buildPaths.objects}/migrate/${file}.bpf.o`;
    const object = new (addon().BpfObject)(path, this.maps, this.#copy.pins);
    this.#objects.push(object);
    try {
      object.load();
    } catch (error) {
      throw kernelError(`${file}.bpf.o cannot be loaded`, error);
    }
    return object;
  }

  /** First who brings along what a process is, then who asks. */
  #attachBehind(programs: readonly Attachable[], hooks: NativeObject, cgroupRoot: string): void {
    const { links } = stagePaths(this.#directory);
    for (const { name } of hooks.programs())
      if (this.#replaces(name) === null) hooks.attach(name, cgroupRoot, `${links}/${name}`);
    for (const one of programs)
      for (const name of one.programs) one.object.attach(name, cgroupRoot, `${links}/${name}`);
  }

  /** The program at a cgroup that this one stands in for; null for those of tracepoints, which all run side by side. */
  #replaces(name: string): string | null {
    const replaced = `sluice_${name.slice(VIA.length)}`;
    return programTypes[replaced]?.type == null ? null : replaced;
  }

  #standIn(hooks: NativeObject, cgroupRoot: string): void {
    for (const { name } of hooks.programs()) {
      const replaced = this.#replaces(name);
      const link = replaced === null ? null : pinPaths(this.#directory).link(replaced);
      if (link === null || !existsSync(link)) continue;
      addon().callFormer(`${this.maps}/${FORMER_PROGRAM}${name.slice(VIA.length)}`, link);
      hooks.attach(name, cgroupRoot, link);
    }
  }

  #moveEvents(mover: NativeObject, log: (message: string) => void): void {
    const array = `${this.maps}/${EVENTS_BY}`;
    const lost = this.#copy.moveEvents(
      mover,
      addon().programStruct(array, 'sluice_event'),
      mover.struct('sluice_event'),
    );
    if (lost > 0) log(`${lost} events of the former version had no room in the ring`);
  }

  /** Lets go of what it holds. What has not come into force is undone. */
  close(): void {
    for (const object of this.#objects.splice(0)) object.close();
    this.#copy.close();
    if (!this.#inForce) undo(this.#directory);
  }
}
