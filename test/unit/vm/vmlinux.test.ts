import { gzipSync, zstdCompressSync } from 'node:zlib';
import t from 'tap';
import { extractVmlinux, payloadOf } from '#test/vm/vmlinux.ts';

const kernel = Buffer.concat([Buffer.from('\x7fELF', 'latin1'), Buffer.alloc(5000, 'kernel')]);

/** A bzImage around `payload`, as Documentation/arch/x86/boot.rst has it: one setup sector behind the first. */
function bzImage(payload: Buffer): Buffer {
  const setup = Buffer.alloc(1024);
  setup[0x1f1] = 1;
  setup.write('HdrS', 0x202);
  setup.writeUInt32LE(16, 0x248);
  setup.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([setup, Buffer.alloc(16), payload, Buffer.alloc(100)]);
}

t.test('finds and unpacks the kernel', async (t) => {
  t.same(payloadOf(bzImage(Buffer.from('packed'))), Buffer.from('packed'));
  t.ok(extractVmlinux(bzImage(gzipSync(kernel))).equals(kernel), 'gzip');
  const size = Buffer.alloc(4);
  size.writeUInt32LE(kernel.length);
  const zstd = Buffer.concat([zstdCompressSync(kernel), size]);
  t.ok(extractVmlinux(bzImage(zstd)).equals(kernel), 'zstd, with the size behind it');
  t.ok(extractVmlinux(kernel).equals(kernel), 'one that is not packed');
});

t.test('what is none is refused', async (t) => {
  t.throws(() => payloadOf(Buffer.alloc(2000)), /not a bzImage/);
  t.throws(() => payloadOf(Buffer.from('short')), /not a bzImage/);
  t.throws(() => payloadOf(bzImage(Buffer.alloc(9000)).subarray(0, 4000)), /cut short/);
  t.throws(() => extractVmlinux(bzImage(Buffer.from('unheard of'))), /not known/);
  t.throws(() => extractVmlinux(bzImage(gzipSync(Buffer.from('no kernel')))), /made no kernel/);
});
