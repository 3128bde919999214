/** Struct layouts out of a compiled BPF object's BTF, by bpftool, for comparing them with userspace's decoder. */
import { execFileSync } from 'node:child_process';

export interface StructLayout {
  readonly size: number;
  /** Byte offsets by field. */
  readonly fields: Readonly<Record<string, number>>;
}

interface BtfType {
  readonly kind: string;
  readonly name: string;
  readonly size?: number;
  readonly members?: readonly { readonly name: string; readonly bits_offset: number }[];
}

export function structLayouts(objectFile: string): Map<string, StructLayout> {
  const text = execFileSync('bpftool', ['--json', 'btf', 'dump', 'file', objectFile], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  const layouts = new Map<string, StructLayout>();
  for (const type of (JSON.parse(text) as { types: BtfType[] }).types) {
    if (type.kind !== 'STRUCT' || !type.name.startsWith('sluice_')) continue;
    const fields: Record<string, number> = {};
    for (const member of type.members ?? []) fields[member.name] = member.bits_offset / 8;
    layouts.set(type.name, { size: type.size ?? 0, fields });
  }
  return layouts;
}
