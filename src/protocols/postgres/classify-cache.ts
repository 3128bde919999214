/** Remembers what texts mean. */
import { classify } from './classify.ts';
import { remembered } from './text-cache.ts';

export class ClassifyCache {
  /** As classify(). */
  readonly classify = remembered(classify, ({ kind }) => kind !== 'too-complex');
}
