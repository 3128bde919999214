/**
 * Upgrades to versions with another ABI on this guest's kernel, under load and while names are asked for: the test of the
 * host, whose third layer is replaced here, too, where the kernel has one.
 */
import { makeWorkerUser } from '#test/support/systemd.ts';

await makeWorkerUser();
await import('#test/e2e/upgrade.test.ts');
