/**
 * Adds up what one TAP stream reports. Leaves are counted, not the lines that close a subtest: those repeat
 * what the subtest's own assertions said already.
 */
import { Parser } from 'tap-parser';

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export function countTap(text: string): Counts {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const watch = (parser: Parser): void => {
    let hadChild = false;
    parser.on('child', (child: Parser) => {
      hadChild = true;
      watch(child);
    });
    parser.on('assert', (result) => {
      const closesSubtest = hadChild;
      hadChild = false;
      if (result.skip) counts.skipped += 1;
      else if (!result.ok) counts.failed += closesSubtest ? 0 : 1;
      else if (!closesSubtest) counts.passed += 1;
    });
  };
  const parser = new Parser();
  watch(parser);
  parser.end(text);
  // A plan that was not kept, a bail-out or a broken stream fails without any single assertion saying so.
  if (!parser.results?.ok && counts.failed === 0) counts.failed = 1;
  return counts;
}
