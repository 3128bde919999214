/** Masks for tests of what reads protocols: cards are found, and columns masked whole. */
import { MaskEngine } from '#src/mask/engine.ts';
import { makeMasker } from '#src/mask/mask-set.ts';
import type { Masker, ValueMasker } from '#src/mask/masker.ts';
import type { CompiledMask } from '#src/policy/types.ts';

export function mask(change: Partial<CompiledMask> = {}): CompiledMask {
  return {
    name: 'm',
    agents: [],
    destinations: ['db'],
    direction: 'responses',
    detectors: [],
    columns: [],
    types: [],
    action: { kind: 'redact' },
    strict: false,
    effect: 'mask',
    ...change,
  };
}

/** Card numbers, of which the last four digits are left. */
export const CARDS: CompiledMask = mask({
  name: 'cards',
  detectors: ['card'],
  action: { kind: 'partial', keepLast: 4 },
});
/** A column, whole. */
export const SSN: CompiledMask = mask({
  name: 'ssn',
  columns: [{ schema: null, table: 'people', column: 'ssn' }],
});

export function maskerOf(...masks: CompiledMask[]): Masker {
  const masker = makeMasker(engineOf(masks), masks, 'responses');
  if (masker === null) throw new Error('no mask is for responses');
  return masker;
}

export function engineOf(masks: readonly CompiledMask[]): MaskEngine {
  return new MaskEngine({ masks, detectors: [], maskKeys: [] });
}

/** A masker of all values by one mask. */
export function valueMaskerOf(change: Partial<CompiledMask>): ValueMasker {
  const masker = maskerOf(mask(change)).column({ schema: null, table: null, column: null, type: null });
  if (masker === null) throw new Error('nothing is masked');
  return masker;
}
