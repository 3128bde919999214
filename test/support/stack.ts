/**
 * How much stack programs of a compiled BPF object need, as the oldest kernel counts it: out of the object's text by
 * llvm-objdump, so that it is known without that kernel, and of programs this one takes none of (the BPF LSM's).
 *
 * A frame goes as far down as the lowest byte that is named relative to r10, by a load, a store, or a pointer made of it:
 * what the verifier counts too, which says it in its statistics ("stack depth 112+104+56").
 */
import { execFileSync } from 'node:child_process';

/** Frames are counted in steps of this on 6.1 (in check_max_stack_depth); where there is a JIT, later kernels take 16. */
const STEP_BYTES = 32;
const INSTRUCTION_BYTES = 8;

export interface StackUse {
  readonly program: string;
  readonly bytes: number;
  /** The chain of calls that needs most: routines, and the bytes of their frames. */
  readonly chain: readonly string[];
  /** Of all it may come to call, in no order, as the verifier tells them: in steps of eight. */
  readonly frames: readonly number[];
}

interface Routine {
  readonly name: string;
  readonly section: string;
  /** Of its first instruction, in its section. */
  readonly at: number;
  frameBytes: number;
  readonly calls: Call[];
}

/** By the name of a global function, or of a section and an instruction in it. */
type Call = { readonly name: string } | { readonly section: string; readonly at: number };

/** Of each program in it: whatever lies in a section of its own. */
export function stackUse(objectFile: string): StackUse[] {
  const argv = ['--disassemble', '--reloc', objectFile];
  return stackUseOf(
    readRoutines(execFileSync('llvm-objdump', argv, { encoding: 'utf8', maxBuffer: 64 << 20 })),
  );
}

export function stackUseOf(routines: readonly Routine[]): StackUse[] {
  const called = (call: Call): Routine => {
    const found = routines.find((one) =>
      'name' in call ? one.name === call.name : one.section === call.section && one.at === call.at,
    );
    if (found === undefined) throw new Error(`what is called is not there: ${JSON.stringify(call)}`);
    return found;
  };
  const deepest = (routine: Routine): Pick<StackUse, 'bytes' | 'chain'> => {
    const below = routine.calls.map((call) => deepest(called(call)));
    const most = below.reduce((a, b) => (b.bytes > a.bytes ? b : a), { bytes: 0, chain: [] });
    // A frame of nothing counts as one of a byte.
    const own = roundUp(Math.max(1, routine.frameBytes), STEP_BYTES);
    return { bytes: own + most.bytes, chain: [`${routine.name} ${routine.frameBytes}`, ...most.chain] };
  };
  const reached = (routine: Routine, known: Set<Routine>): Set<Routine> => {
    if (known.has(routine)) return known;
    known.add(routine);
    for (const call of routine.calls) reached(called(call), known);
    return known;
  };
  return routines
    .filter(({ section }) => section !== '.text')
    .map((routine) => ({
      program: routine.name,
      ...deepest(routine),
      frames: [...reached(routine, new Set())].map(({ frameBytes }) => roundUp(frameBytes, 8)),
    }));
}

const roundUp = (bytes: number, step: number): number => Math.ceil(bytes / step) * step;

/** Reads what llvm-objdump writes: sections, functions, numbered instructions, and the relocation behind each that has one. */
export function readRoutines(text: string): Routine[] {
  const routines: Routine[] = [];
  let section = '';
  let header = '';
  let last = { at: 0, instruction: NOTHING };
  let pointers: Pointers = new Map();
  for (const line of text.split('\n')) {
    section = /^Disassembly of section (.+):$/.exec(line)?.[1] ?? section;
    header = /^[0-9a-f]+ <(.+)>:$/.exec(line)?.[1] ?? header;
    const [, number, hex] = /^ +(\d+):\t([0-9a-f ]+)\t/.exec(line) ?? [];
    const [, moved] = /R_BPF_64_(?:32|64)\s+(\S+)$/.exec(line) ?? [];
    const routine = routines.at(-1);
    if (number !== undefined && hex !== undefined) {
      last = { at: Number(number), instruction: decode(Buffer.from(hex.replaceAll(' ', ''), 'hex')) };
      // A label inside a function has a line like a function's.
      if (header !== '' && !header.startsWith('LBB')) {
        routines.push({ name: header, section, at: last.at, frameBytes: 0, calls: [] });
        pointers = new Map();
      }
      header = '';
      const begun = routines.at(-1);
      if (begun === undefined) continue;
      begun.frameBytes = Math.max(begun.frameBytes, depthOf(last.instruction, pointers));
      if (isCall(last.instruction)) begun.calls.push({ section, at: last.at + 1 + last.instruction.value });
    } else if (moved !== undefined && routine !== undefined) {
      const { instruction } = last;
      if (isCall(instruction))
        routine.calls.splice(
          -1,
          1,
          moved === '.text' ? { section: moved, at: instruction.value + 1 } : { name: moved },
        );
      // A function that is handed to a helper, which calls it.
      else if (moved === '.text')
        routine.calls.push({ section: moved, at: instruction.value / INSTRUCTION_BYTES });
    }
  }
  return routines;
}

/** Source: the kernel's include/uapi/linux/bpf.h, struct bpf_insn. */
interface Instruction {
  readonly code: number;
  readonly to: number;
  readonly from: number;
  readonly offset: number;
  readonly value: number;
}

const NOTHING: Instruction = { code: 0, to: 0, from: 0, offset: 0, value: 0 };
const decode = (bytes: Buffer): Instruction => ({
  code: bytes.readUInt8(0),
  to: bytes.readUInt8(1) & 15,
  from: bytes.readUInt8(1) >> 4,
  offset: bytes.readInt16LE(2),
  value: bytes.readInt32LE(4),
});

const CALL = 0x85;
const MOVE = 0xbf;
const ADD = 0x07;
const FRAME = 10;
/** By the three lowest bits: what loads through a register, what stores through one, and what else writes one. */
const LOAD = 1;
const STORES: ReadonlySet<number> = new Set([2, 3]);
const WRITES: ReadonlySet<number> = new Set([0, LOAD, 4, 7]);

/** Of a function, and not of a helper. */
const isCall = ({ code, from }: Instruction): boolean => code === CALL && from === 1;

/** Registers that point into the frame: how far from its top. */
type Pointers = Map<number, number>;

/** How far down this instruction goes: by what it reads or writes, or by the pointer it makes. */
function depthOf({ code, to, from, offset, value }: Instruction, pointers: Pointers): number {
  const at = (register: number): number | undefined => (register === FRAME ? 0 : pointers.get(register));
  const kind = code & 7;
  const base = kind === LOAD ? at(from) : STORES.has(kind) ? at(to) : undefined;
  const made =
    code === MOVE ? at(from) : code === ADD && pointers.has(to) ? (at(to) ?? 0) + value : undefined;
  if (made !== undefined) pointers.set(to, made);
  else if (WRITES.has(kind)) pointers.delete(to);
  return -Math.min(0, base === undefined ? 0 : base + offset, made ?? 0);
}
