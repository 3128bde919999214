/** Checks what stands beside the lists: the SPIFFE template, the resolvers, the Unix sockets. */
import { normaliseIp } from '../../core/dns-name.ts';
import { CLOSED_BY_DEFAULT } from '../closed-sockets.ts';
import { DEFAULTS } from '../document.ts';
import { unknownHint } from '../nearest.ts';
import type { Cursor } from './cursor.ts';

const PLACEHOLDERS = ['trust_domain', 'host', 'agent', 'uid', 'unit', 'exe'];

export function checkSettings(root: Cursor): void {
  checkTemplate(root.get('identity').get('spiffe_id'), root.get('trust_domain').text ?? DEFAULTS.trustDomain);
  for (const resolver of root.get('dns').get('resolvers').items()) {
    if (resolver.text === null || normaliseIp(resolver.text) !== null) continue;
    resolver.error(
      `"${resolver.text}" is not an IP address`,
      'name servers are given by address, without a port',
    );
  }
  checkSockets(root.get('unix_sockets'));
}

function checkSockets(sockets: Cursor): void {
  const denied = [...sockets.get('deny').items()];
  const allowed = [...sockets.get('allow').items()];
  for (const path of [...denied, ...allowed]) if (path.text !== null) checkSocketPath(path, path.text);
  for (const path of allowed) {
    if (path.text === null || !path.clean || CLOSED_BY_DEFAULT.includes(path.text)) continue;
    path.error(
      `"${path.text}" is not closed by default`,
      unknownHint(path.text, [...CLOSED_BY_DEFAULT], 'socket'),
    );
  }
}

/** The kernel compares names as they are: what could be written in two ways is not understood in one. */
function checkSocketPath(path: Cursor, text: string): void {
  const names = text.split('/').slice(1);
  const isName = (name: string): boolean =>
    name !== '' && name !== '.' && name !== '..' && (name === '*' || !name.includes('*'));
  if (!text.startsWith('/') || text.includes('\0') || !names.every(isName))
    path.error(
      `"${text}" is no path of a socket`,
      'an absolute path without empty, . or .. components; * stands alone for any name',
    );
  else if (names.at(-1) === '*') path.error(`"${text}" names no socket`, 'the last component is a name');
}

function checkTemplate(template: Cursor, trustDomain: string): void {
  const { text } = template;
  if (text === null) return;
  for (const [whole, name = ''] of text.matchAll(/\{([^{}]*)\}/g)) {
    if (!PLACEHOLDERS.includes(name)) {
      template.error(`unknown placeholder ${whole}`, unknownHint(name, PLACEHOLDERS, 'placeholder'));
    }
  }
  const prefixes = ['spiffe://{trust_domain}/', `spiffe://${trustDomain}/`];
  const prefix = prefixes.find((candidate) => text.startsWith(candidate));
  if (prefix === undefined) {
    template.error('does not begin with the trust domain', 'it begins with spiffe://{trust_domain}/');
    return;
  }
  // SPIFFE-ID §2.2: no empty, `.` or `..` segment, and these characters only.
  const segments = text.slice(prefix.length).split('/');
  const valid = (segment: string): boolean =>
    /^[A-Za-z0-9._-]+$/.test(segment.replace(/\{[^{}]*\}/g, 'x')) && segment !== '.' && segment !== '..';
  if (!segments.every(valid)) {
    template.error(
      'is no path of a SPIFFE ID',
      'segments hold letters, digits, dots, hyphens and underscores',
    );
  }
}
