/** Readers of the first bytes of a stream: start-ups, authentication, heads, hellos, names. */
import fc from 'fast-check';
import { isAnswerTo, readAnswer } from '#src/protocols/dns/answer.ts';
import { FrameReader } from '#src/protocols/dns/frames.ts';
import { readQuery } from '#src/protocols/dns/query.ts';
import { RequestHeadReader } from '#src/protocols/http1/request-head.ts';
import { StartFilter } from '#src/protocols/postgres/start-filter.ts';
import { SSL_REQUEST, StartupReader } from '#src/protocols/postgres/startup.ts';
import { ClientHelloReader } from '#src/tls/client-hello.ts';
import {
  alpn,
  helloMessage,
  inRecords,
  keyShares,
  sni,
  supportedVersions,
} from '#test/support/client-hello.ts';
import * as dns from '#test/support/dns-messages.ts';
import { type Outcome, outcomeOf } from '#test/support/outcome.ts';
import {
  authentication,
  cancelRequest,
  GSS_REQUEST,
  message,
  sasl,
  startupMessage,
  uint32,
} from '#test/support/postgres-packets.ts';
import { broken, readerTarget, type Target } from '../target.ts';

function readStartup(pieces: readonly Buffer[]): Outcome<unknown> {
  const reader = new StartupReader();
  const events: unknown[] = [];
  const result = () => [events, reader.rest().toString('hex')];
  const outcome = outcomeOf(pieces, (piece) => events.push(...reader.push(piece).map(shown)), result);
  // An agent waits for the answer to a request for encryption: what comes with it and what comes later are not the same.
  return JSON.stringify(events).includes('-request') ||
    ('error' in outcome && WITH_REQUEST.test(outcome.error))
    ? { value: 'it asked for encryption' }
    : outcome;
}

const WITH_REQUEST = /encryption/;

/** Views of a piece are gone with it. */
function shown(value: object): unknown {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      item instanceof Uint8Array ? Buffer.from(item).toString('hex') : item,
    ]),
  );
}

function readAuthentication(pieces: readonly Buffer[]): Outcome<unknown> {
  const filter = new StartFilter({ keyFor: ({ key }) => Buffer.from(key).reverse() });
  let out = '';
  return outcomeOf(
    pieces,
    (piece) => {
      for (const part of filter.push(piece)) out += part.toString('hex');
    },
    () => [out, filter.done],
  );
}

function readHead(pieces: readonly Buffer[]): Outcome<unknown> {
  const reader = new RequestHeadReader();
  let head: object | null = null;
  return outcomeOf(
    pieces,
    (piece) => {
      head ??= reader.push(piece);
    },
    () => head && shown(head),
  );
}

function readHello(pieces: readonly Buffer[]): Outcome<unknown> {
  const reader = new ClientHelloReader();
  let hello: object | null = null;
  return outcomeOf(
    pieces,
    (piece) => {
      hello ??= reader.push(piece);
    },
    () => hello && shown(hello),
  );
}

function readFrames(pieces: readonly Buffer[]): Outcome<unknown> {
  const reader = new FrameReader('agent', 4_096);
  const frames: string[] = [];
  return outcomeOf(
    pieces,
    (piece) => {
      for (const frame of reader.push(piece)) frames.push(frame.toString('hex'));
    },
    () => frames,
  );
}

const request = (text: string): Buffer => Buffer.from(text.replaceAll('\n', '\r\n'));

const QUESTION = { id: 7, name: dns.wire('a.test'), type: 1 };
const ALIAS = dns.record(dns.pointer(dns.QUESTION), 5, dns.wire('b.test'));
const ADDRESS = dns.record(dns.wire('b.test'), 1, Buffer.from([192, 0, 2, 1]));

export const READERS: readonly Target[] = [
  readerTarget('startup', readStartup, [
    startupMessage({ user: 'u', database: 'd', options: '-c role=x' }),
    Buffer.concat([SSL_REQUEST]),
    Buffer.concat([GSS_REQUEST]),
    cancelRequest(4),
    cancelRequest(32),
    Buffer.concat([startupMessage({ user: 'u', replication: 'database' }, 2), Buffer.from('rest')]),
  ]),
  readerTarget('start-filter', readAuthentication, [
    Buffer.concat([
      message('v', uint32(0), uint32(0)),
      sasl('SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'),
      authentication(11, Buffer.from('r=x')),
      authentication(12, Buffer.from('v=x')),
      authentication(0),
      message('S', Buffer.from('a\0b\0')),
      message('K', uint32(7), Buffer.alloc(32, 1)),
      message('Z', Buffer.from('I')),
      message('D', Buffer.alloc(2)),
    ]),
    Buffer.concat([message('N', Buffer.from('Mx\0\0')), authentication(5, uint32(7)), authentication(0)]),
    message('E', Buffer.from('SFATAL\0C28000\0Mno\0\0')),
  ]),
  readerTarget('http1-head', readHead, [
    request('GET /a?b HTTP/1.1\nHost: shop.test\nAccept: */*\n\n'),
    request('POST / HTTP/1.1\nHost: shop.test:80\nContent-Length: 3\n\nabc'),
    request('GET http://shop.test/ HTTP/1.0\nTransfer-Encoding: chunked\n\n'),
  ]),
  readerTarget('client-hello', readHello, [
    inRecords(
      helloMessage({ extensions: [sni('a.test'), alpn('h2'), supportedVersions(0x304), keyShares(29)] }),
    ),
    inRecords(helloMessage(), 7),
  ]),
  readerTarget('dns-frames', readFrames, [
    Buffer.concat([dns.u16(3), Buffer.from('abc'), dns.u16(20), Buffer.alloc(20)]),
  ]),
  {
    name: 'dns-messages',
    holds: 'a question or answer that was read, or the error of protocols',
    rounds: 1_000,
    property: () =>
      fc.property(
        broken([
          dns.query({ additional: [dns.edns()] }),
          dns.query({ name: 'A.b.c.test', type: 28 }),
          dns.message({ answers: [ALIAS, ADDRESS] }),
          dns.message({ answers: [dns.record(dns.pointer(dns.QUESTION), 1, Buffer.from([192, 0, 2, 1]))] }),
        ]),
        (bytes) => {
          outcomeOf(
            [Buffer.from(bytes)],
            () => {},
            () => readQuery(bytes),
          );
          if (isAnswerTo(bytes, QUESTION))
            outcomeOf(
              [bytes],
              () => {},
              () => readAnswer(bytes, QUESTION),
            );
        },
      ),
  },
];
