import t from 'tap';
import { readRoutines, stackUseOf } from '#test/support/stack.ts';

/**
 * As llvm-objdump writes it: a program that calls a global function and two static ones, one of which hands another to a
 * helper.
 */
const TEXT = `
file:	file format elf64-bpf

Disassembly of section .text:

0000000000000000 <walk>:
       0:	7b 1a d8 ff 00 00 00 00	*(u64 *)(r10 - 40) = r1
       1:	15 01 00 00 00 00 00 00	if r1 == 0 goto +0 <LBB0_2>

0000000000000010 <LBB0_2>:
       2:	95 00 00 00 00 00 00 00	exit

0000000000000018 <quiet>:
       3:	18 02 00 00 38 00 00 00 00 00 00 00 00 00 00 00	r2 = 56 ll
		0000000000000018:  R_BPF_64_64	.text
       5:	85 00 00 00 b5 00 00 00	call 181
       6:	95 00 00 00 00 00 00 00	exit

0000000000000038 <each>:
       7:	bf a6 00 00 00 00 00 00	r6 = r10
       8:	07 06 00 00 f8 ff ff ff	r6 += -8
       9:	bf 62 00 00 00 00 00 00	r2 = r6
      10:	07 02 00 00 c0 ff ff ff	r2 += -64
      11:	73 32 ff ff 00 00 00 00	*(u8 *)(r2 - 1) = r3
      12:	b7 02 00 00 00 00 00 00	r2 = 0
      13:	07 02 00 00 70 fe ff ff	r2 += -400
      14:	85 10 00 00 01 00 00 00	call 1
      15:	95 00 00 00 00 00 00 00	exit

0000000000000080 <leaf>:
      16:	71 a1 f0 ff 00 00 00 00	r1 = *(u8 *)(r10 - 16)
      17:	95 00 00 00 00 00 00 00	exit

Disassembly of section cgroup/connect4:

0000000000000000 <program>:
       0:	bf a2 00 00 00 00 00 00	r2 = r10
       1:	07 02 00 00 fc ff ff ff	r2 += -4
       2:	85 10 00 00 ff ff ff ff	call -1
		0000000000000010:  R_BPF_64_32	walk
       3:	85 10 00 00 02 00 00 00	call 2
		0000000000000018:  R_BPF_64_32	.text
       4:	18 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00	r1 = 0 ll
		0000000000000020:  R_BPF_64_64	a_map
       6:	95 00 00 00 00 00 00 00	exit
`;

t.test('frames, by what is named relative to r10 and by pointers made of it', async (t) => {
  const frames = readRoutines(TEXT).map(({ name, frameBytes }) => [name, frameBytes]);
  t.strictSame(frames, [
    ['walk', 40],
    ['quiet', 0],
    ['each', 73],
    ['leaf', 16],
    ['program', 4],
  ]);
});

t.test('the chain that needs most, each frame in steps of 32, one of nothing too', async (t) => {
  t.strictSame(stackUseOf(readRoutines(TEXT)), [
    {
      program: 'program',
      bytes: 32 + 32 + 96 + 32,
      chain: ['program 4', 'quiet 0', 'each 73', 'leaf 16'],
      frames: [8, 40, 0, 80, 16],
    },
  ]);
});

t.test('a call that leads nowhere is told, and not left out', async (t) => {
  t.throws(() => stackUseOf(readRoutines(TEXT.replace('walk>', 'other>'))), /"walk"/);
});
