/**
 * Takes the kernel proper out of a bzImage. QEMU starts an uncompressed vmlinux directly; unpacking itself would
 * cost an emulated machine half a minute.
 */
import { spawnSync } from 'node:child_process';

/** Offsets in the setup header: Documentation/arch/x86/boot.rst. */
const SETUP_SECTORS = 0x1f1;
const MAGIC = 0x202;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const SECTOR = 512;
/** The unpacked size follows all formats but gzip, which says it itself; unpackers take it for garbage. */
const SIZE_BYTES = 4;
const MAX_KERNEL_BYTES = 256 * 1024 * 1024;
const ELF = Buffer.from('\x7fELF', 'latin1');

const FORMATS: readonly {
  readonly magic: Buffer;
  readonly unpack: readonly string[];
  readonly trailer: number;
}[] = [
  { magic: Buffer.from([0x1f, 0x8b]), unpack: ['gzip', '-dc'], trailer: 0 },
  { magic: Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a]), unpack: ['xz', '-dc'], trailer: SIZE_BYTES },
  { magic: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), unpack: ['zstd', '-dcq'], trailer: SIZE_BYTES },
  { magic: Buffer.from([0x02, 0x21, 0x4c, 0x18]), unpack: ['lz4', '-dcq'], trailer: SIZE_BYTES },
];

const startsWith = (bytes: Buffer, magic: Buffer): boolean => bytes.subarray(0, magic.length).equals(magic);

/** The packed kernel inside a bzImage. Throws on anything else. */
export function payloadOf(image: Buffer): Buffer {
  if (image.length < PAYLOAD_LENGTH + 4 || image.toString('latin1', MAGIC, MAGIC + 4) !== 'HdrS')
    throw new Error('not a bzImage');
  const setup = ((image[SETUP_SECTORS] || 4) + 1) * SECTOR;
  const from = setup + image.readUInt32LE(PAYLOAD_OFFSET);
  const until = from + image.readUInt32LE(PAYLOAD_LENGTH);
  if (until > image.length) throw new Error('the bzImage is cut short');
  return image.subarray(from, until);
}

/** The ELF file in `image`, which is a bzImage or that file already. */
export function extractVmlinux(image: Buffer): Buffer {
  if (startsWith(image, ELF)) return image;
  const packed = payloadOf(image);
  const format = FORMATS.find(({ magic }) => startsWith(packed, magic));
  if (format === undefined)
    throw new Error(`the kernel is packed as ${packed.toString('hex', 0, 6)}, which is not known`);
  const [program = '', ...args] = format.unpack;
  const input = packed.subarray(0, packed.length - format.trailer);
  const { stdout, stderr, error } = spawnSync(program, args, { input, maxBuffer: MAX_KERNEL_BYTES });
  if (error !== undefined) throw error;
  if (!startsWith(stdout, ELF))
    throw new Error(`${program} made no kernel of it: ${stderr.toString().trim()}`);
  return stdout;
}
