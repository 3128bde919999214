/**
 * A service manager for one daemon, where there is no systemd: programs/service-manager.py, which keeps the descriptors
 * a service stores and gives them to the next one, and a `systemctl` that says whether a restart is under way. A real
 * systemd does the same in test/vm/payloads/works/systemd.test.ts.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PYTHON } from './python.ts';
import type { SluiceOptions } from './sluice.ts';
import type { World } from './world.ts';

export interface ManagedOptions extends Pick<SluiceOptions, 'wrapper'> {
  /** With other options of `sluice daemon` from the next restart on, which win over those before. */
  readonly change: (options: string) => void;
  /** Whether the next one is kept from starting. */
  readonly hold: (yes: boolean) => void;
}

/** The daemon under a service manager; SIGHUP restarts it. */
export function underServiceManager(world: World): ManagedOptions {
  const directory = join(world.dir, 'service-manager');
  mkdirSync(directory);
  const socket = join(directory, 'notify');
  // Asked for the jobs of one unit, its last argument.
  const systemctl = `#!/bin/sh
[ -e '${socket}.restart' ] || exit 0
for unit; do :; done
echo "1 $unit restart running"
`;
  writeFileSync(join(directory, 'systemctl'), systemctl, { mode: 0o755 });
  const program = readFileSync(join(import.meta.dirname, 'programs/service-manager.py'), 'utf8');
  const path = `PATH=${directory}:${process.env['PATH'] ?? ''}`;
  const manager = ['env', path, PYTHON, '-c', program, socket];
  const options = join(directory, 'options');
  writeFileSync(options, '');
  const held = join(directory, 'held');
  const script = `while [ -e '${held}' ]; do sleep 0.1; done; exec "$@" $(cat '${options}')`;
  const service = ['sh', '-c', script, 'sh', 'setpriv', '--pdeathsig', 'KILL', '--'];
  return {
    wrapper: [...manager, ...service],
    change: (text) => writeFileSync(options, text),
    hold: (yes) => (yes ? writeFileSync(held, '') : rmSync(held)),
  };
}
