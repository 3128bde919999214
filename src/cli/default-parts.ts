/** The rooms behind the commands, each imported when it is first needed. */
import { existsSync } from 'node:fs';
import type { FlowFilter } from '../api/flow-filter.ts';
import type { FlowRecord } from '../flow/record.ts';
import type { Parts } from './parts.ts';

interface StoreModule {
  readonly FlowStore: {
    openReadOnly(path: string): { query(filter: FlowFilter): readonly FlowRecord[]; close(): void };
  };
}

const storeModule: string = '../store/flow-store.ts';

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
    const { describePins } = await import('../kernel/pins.ts');
    return describePins(pinDir);
  },

  async readStore(path, filter) {
    if (!existsSync(path)) return null;
    const { FlowStore } = (await import(storeModule)) as StoreModule;
    const store = FlowStore.openReadOnly(path);
    try {
      return store.query(filter);
    } finally {
      store.close();
    }
  },
};
