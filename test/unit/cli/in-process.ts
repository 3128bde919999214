/** Runs a command line in this process, with other rooms behind it than the real ones. */
import type { Parts } from '#src/cli/parts.ts';
import { runProgram } from '#src/cli/program.ts';

export interface Done {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A part that is not given must not be called. */
export async function testCli(args: readonly string[], parts: Partial<Parts> = {}): Promise<Done> {
  const refuse = (): never => {
    throw new Error('called a part the test does not give');
  };
  const written = { stdout: '', stderr: '' };
  const outputTo = (name: 'stdout' | 'stderr') => ({
    write: (text: string): void => {
      written[name] += text;
    },
  });
  const code = await runProgram(
    {
      stdout: outputTo('stdout'),
      stderr: outputTo('stderr'),
      env: {},
      parts: { runDaemon: refuse, uninstall: refuse, describePins: refuse, readStore: refuse, ...parts },
      exitCode: 0,
    },
    args,
  );
  return { code, ...written };
}
