/**
 * One question to one resolver, by datagram or by TCP, and the bytes that answer it.
 *
 * Each question has a socket of its own, so that its port is a new random one, and the socket is connected, so that
 * the kernel takes datagrams from the resolver's address and port alone. What then does not repeat the question is a
 * guess of somebody else's: it is ignored, and too many of them end the attempt.
 */
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { deadline } from '../../core/deadline.ts';
import { errnoOf } from '../../core/errors.ts';
import { type Answer, isAnswerTo, type Question, readAnswer } from '../../protocols/dns/answer.ts';
import { MESSAGE_MAX_BYTES } from '../../protocols/dns/codes.ts';
import { encodeFrame, FrameReader } from '../../protocols/dns/frames.ts';

export const DNS_PORT = 53;

/** An honest resolver sends none; so many are somebody trying ids. */
const GUESSES_MAX = 32;

export interface Attempt {
  readonly server: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly question: Question;
  /** The question, encoded. */
  readonly message: Buffer;
}

export interface Answered {
  readonly bytes: Buffer;
  readonly answer: Answer;
}

/** Why a resolver gave no answer; a sentence that quotes nothing of what it sent. */
export class NoAnswer extends Error {
  override readonly name = 'NoAnswer';
}

/** @throws NoAnswer, ProtocolError */
export function askByDatagram({ server, port, timeoutMs, question, message }: Attempt): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(server) ? 'udp6' : 'udp4');
    let guesses = 0;
    const settle = (end: () => void): void => {
      callOff();
      socket.removeAllListeners('message');
      socket.close();
      end();
    };
    const fail = (why: string): void => settle(() => reject(new NoAnswer(`${server} ${why}`)));
    const callOff = deadline(timeoutMs, () => fail('did not answer in time'));
    socket.on('message', (bytes) => {
      if (!isAnswerTo(bytes, question)) {
        guesses += 1;
        if (guesses >= GUESSES_MAX) fail('sent answers to other questions');
        return;
      }
      settle(() => readInto(bytes, question, resolve, reject));
    });
    socket.once('error', (error) => {
      // Closed already when it was settled.
      socket.on('error', () => undefined);
      fail(`could not be asked (${errnoOf(error) ?? 'error'})`);
    });
    socket.connect(port, server, () => socket.send(message));
  });
}

/** @throws NoAnswer, ProtocolError */
export function askByTcp({ server, port, timeoutMs, question, message }: Attempt): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: server, port, noDelay: true });
    const frames = new FrameReader('server', MESSAGE_MAX_BYTES);
    const settle = (end: () => void): void => {
      callOff();
      socket.removeAllListeners('data');
      socket.destroy();
      end();
    };
    const fail = (why: string): void => settle(() => reject(new NoAnswer(`${server} ${why}`)));
    const callOff = deadline(timeoutMs, () => fail('did not answer in time'));
    socket.on('data', (chunk) => {
      let first: Buffer | undefined;
      try {
        [first] = frames.push(chunk);
      } catch (error) {
        settle(() => reject(error));
        return;
      }
      if (first === undefined) return;
      const bytes = first;
      if (isAnswerTo(bytes, question)) settle(() => readInto(bytes, question, resolve, reject));
      else fail('answered another question');
    });
    socket.on('error', (error) => fail(`could not be asked by TCP (${errnoOf(error) ?? 'error'})`));
    socket.once('end', () => fail('closed the connection'));
    socket.once('connect', () => socket.write(encodeFrame(message)));
  });
}

function readInto(
  bytes: Buffer,
  question: Question,
  resolve: (answered: Answered) => void,
  reject: (error: unknown) => void,
): void {
  try {
    resolve({ bytes, answer: readAnswer(bytes, question) });
  } catch (error) {
    reject(error);
  }
}
