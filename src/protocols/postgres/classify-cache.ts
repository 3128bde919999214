/** Remembers what texts mean. */
import { type Classified, classify } from './classify.ts';
import { remembered } from './text-cache.ts';

export class ClassifyCache {
  /** As classify(). */
  readonly classify = remembered<Classified>({
    read: classify,
    lasts: ({ kind }) => kind !== 'too-complex',
    // An error says where it is. Operations hold no values, and of two numbers only whether they are the same counts (where.ts).
    isOfShape: (read) => read.kind === 'operations' && !read.changesReading,
  });
}
