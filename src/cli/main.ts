/** Entry of the `sluice` command; bin/sluice starts it. */
import { defaultParts } from './default-parts.ts';
import { runProgram } from './program.ts';

// `sluice flows | head`: the reader has what it wanted.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

const { stdout, stderr, env } = process;
process.exitCode = await runProgram(
  { stdout, stderr, env, parts: defaultParts, exitCode: 0 },
  process.argv.slice(2),
);
