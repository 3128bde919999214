/** The rooms behind the commands, each imported when it is first needed. */
import { existsSync } from 'node:fs';
import { SluiceError } from '../core/errors.ts';
import type { Parts } from './parts.ts';

export const defaultParts: Parts = {
  async runDaemon(options) {
    const { runDaemon } = await import('../daemon/main.ts');
    await runDaemon(options);
  },

  async uninstall(options) {
    const { uninstall } = await import('../daemon/uninstall.ts');
    return uninstall(options);
  },

  async describePins(pinDir) {
    // To others the directory looks empty, and "nothing is in force" would be a lie.
    if (process.geteuid?.() !== 0) {
      throw new SluiceError('PERMISSION', 'only root can see what is in force without the daemon', {
        hint: 'run it as root',
      });
    }
    const { describePins } = await import('../kernel/pins.ts');
    return describePins(pinDir);
  },

  async readStore(path, filter) {
    if (!existsSync(path)) return null;
    const { FlowReader } = await import('../store/flow-reader.ts');
    const store = FlowReader.open(path);
    try {
      return store.query(filter);
    } finally {
      store.close();
    }
  },
};
