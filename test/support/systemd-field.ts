/**
 * What the tests under a real systemd begin with: the guest itself on the near side, Sluice installed as README does, and
 * agents as a unit, a unit of a slice and an instance of a template, which ask the far side's nginx in plain text.
 */
import { rmSync } from 'node:fs';
import type { ApiClient } from '#src/api/client.ts';
import type { Capture } from './capture.ts';
import { must, run } from './command.ts';
import { FAR, writeHosts } from './network.ts';
import { PLAIN_HTTP_PORT, RESPONSE_MARKER } from './nginx.ts';
import { POSTGRES } from './postgres.ts';
import { CommandUnit, install, sluice } from './systemd.ts';
import { World } from './world.ts';

export const REQUEST_MARKER = 'REQUEST-MARKER-77c1';

export interface SystemdField {
  readonly world: World;
  readonly capture: Capture;
  readonly api: ApiClient;
  readonly billing: CommandUnit;
  readonly batch: CommandUnit;
  readonly reports: CommandUnit;
  /** No agent. */
  readonly bystander: CommandUnit;
  /** The policy's text; `allowed` may ask nginx. */
  policy(allowed: readonly string[]): string;
}

export const ALL_ALLOWED = ['billing', 'batch', 'reports'];

/** Stops, uninstalls and takes down what it made; for a test's teardown. */
export async function closeSystemdField({ world }: SystemdField): Promise<void> {
  await run(['systemctl', 'stop', 'sluice']);
  await sluice('uninstall');
  await world.close();
}

export async function openSystemdField(
  servers: Parameters<typeof World.open>[0],
  onStep: (step: string) => unknown,
): Promise<SystemdField> {
  // Records of a test before this one would be taken for its own.
  rmSync('/var/lib/sluice', { recursive: true, force: true });
  const world = await World.open(servers, onStep, { near: 'host', sites: ['shop.test'] });
  writeHosts('/etc/hosts', ['shop.test', POSTGRES.name]);
  const capture = await world.capture();
  const policy = (allowed: readonly string[]): string => policyText(world.pki.ca, allowed);
  const api = await install(policy(ALL_ALLOWED));
  const plain = `/usr/bin/curl -sS http://${FAR.ipv4}:${PLAIN_HTTP_PORT}/hello`;
  return {
    world,
    capture,
    api,
    policy,
    billing: await CommandUnit.make('billing.service', world.dir, curl('billing')),
    batch: await CommandUnit.make('nightly.service', world.dir, curl('batch'), 'Slice=apps-batch.slice\n'),
    reports: await CommandUnit.make('reports@eu.service', world.dir, curl('reports')),
    bystander: await CommandUnit.make('bystander.service', world.dir, plain),
  };
}

function policyText(ca: string, allowed: readonly string[]): string {
  return `version: 1
trust_domain: world.test
agents:
  - { name: billing, match: [{ unit: billing.service }] }
  - { name: batch, match: [{ unit: apps-batch.slice }] }
  - { name: reports, match: [{ unit: reports@eu.service }] }
  - { name: ledger, match: [{ unit: ledger.service }] }
destinations:
  - name: web
    hosts: [shop.test]
    ports: [80]
    protocol: http
    port_map: { 80: 443 }
    tls: { ca: ${ca} }
  - name: db
    hosts: [${POSTGRES.name}]
    ports: [${POSTGRES.port}]
    protocol: postgres
    tls: { ca: ${ca} }
rules:
  - { name: db, agents: [ledger], destinations: [db], action: allow }
  - { name: web, agents: [${allowed.join(', ')}], destinations: [web], action: allow }
`;
}

// A service lasts: one that is gone a moment after it connected may be on record without its unit.
function curl(path: string): string {
  return `/bin/sh -c 'curl -sS --max-time 600 http://shop.test/secret/${REQUEST_MARKER}/${path}; code=$$?; sleep 2; exit $$code'`;
}

/** What nginx says to it. */
export const answer = (path: string): string => `${RESPONSE_MARKER} GET /secret/${REQUEST_MARKER}/${path}\n`;

/** The end of what the daemon has written to the journal. */
export function log(): Promise<string> {
  return must(['journalctl', '--unit=sluice', '--no-pager', '--lines=60']);
}
