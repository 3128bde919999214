/** The exit codes of every command, in one place, and the text of `sluice help exit-codes`. */
export const EXIT_OK = 0;
/** The command was understood and could not do what it was asked, or found something wrong. */
export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;
/** As the LSB has it for `status`: the program is not running. */
export const EXIT_NOT_RUNNING = 3;
/** As of env(1): the wrapper itself failed; nothing was run. */
export const EXIT_RUN_FAILED = 125;
export const EXIT_NOT_EXECUTABLE = 126;
export const EXIT_NOT_FOUND = 127;
/** Added to the number of the signal that ended a command. */
export const EXIT_SIGNAL_BASE = 128;

export const EXIT_CODES_HELP = `Exit codes

All commands but "run":
  0    done; for "status": enforcing and nothing to report; for "doctor": no check failed
  1    failed; for "status": degraded or not enforcing; for "policy check": the policy has problems;
       for "enrol --now": something is connected past Sluice;
       for "holds approve" and "deny": nothing waits under that id;
       for "uninstall": a daemon runs; for "unit harden --check": the unit lacks something
  2    wrong use: unknown option, missing argument, unreadable file
  3    the daemon is not running

sluice run -- CMD:
  the exit code of CMD, or
  125  Sluice failed: the daemon is not running, or CMD could not be enrolled; CMD was not run
  126  CMD was found but cannot be executed
  127  CMD was not found
  128+N  CMD was ended by signal N
  2    wrong use of "sluice run" itself
`;
