/**
 * What commands call in rooms they do not want to load at every start: the daemon and what stands behind it.
 * Each is a function that imports when it is called, and a test can put another in its place.
 */
import type { FlowFilter } from '../api/flow-filter.ts';
import type { ProgramStatus } from '../api/types.ts';
import type { DaemonOptions, UninstallOptions } from '../daemon/options.ts';
import type { FlowRecord } from '../flow/record.ts';

export interface Parts {
  /** Resolves when the daemon has stopped in good order. */
  runDaemon(options: DaemonOptions): Promise<void>;
  /** Removes what outlives the daemon; gives the path of each thing removed. */
  uninstall(options: UninstallOptions): Promise<readonly string[]>;
  /** What is in force with no daemon to ask; null: nothing is installed. */
  describePins(pinDir: string): Promise<readonly ProgramStatus[] | null>;
  /** Stored records with no daemon to ask, oldest first; null: there is no store. */
  readStore(path: string, filter: FlowFilter): Promise<readonly FlowRecord[] | null>;
}
