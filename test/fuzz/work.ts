/**
 * Counts what a call does, in blocks of code that were run, as V8 counts them for coverage: the same on any machine, however
 * busy. What native code does in one call counts as one.
 */
import { type Profiler, Session } from 'node:inspector';

/** Of the files of `src` alone. */
export function countWork(call: () => void): number {
  const session = new Session();
  session.connect();
  try {
    const post = (method: string, params = {}): unknown => {
      let result: unknown;
      // Within one thread it is answered before this returns.
      session.post(method, params, (error, value) => {
        if (error) throw error;
        result = value;
      });
      return result;
    };
    post('Profiler.enable');
    post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    call();
    const { result } = post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    post('Profiler.stopPreciseCoverage');
    return result
      .filter(({ url }) => url.includes('/src/'))
      .flatMap(({ functions }) => functions)
      .flatMap(({ ranges }) => ranges)
      .reduce((sum, { count }) => sum + count, 0);
  } finally {
    session.disconnect();
  }
}
