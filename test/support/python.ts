/** Small unmodified agents in Python: plain sockets, as any program has them. */

/** Debian's, by its path: another one first on PATH may not be everybody's to run. */
export const PYTHON = '/usr/bin/python3';

/**
 * Connects, sends `text`, closes its sending half and prints all it is answered; a socket error is printed as
 * the name of its class. `ms` bounds each step.
 */
export function tcpClient(host: string, port: number, text: string, ms = 60_000): string[] {
  const script = `
import socket, sys
host, port, text, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) / 1000
try:
    s = socket.create_connection((host, port), seconds)
    s.settimeout(seconds)
    if text:
        s.sendall(text.encode())
        s.shutdown(socket.SHUT_WR)
    while chunk := s.recv(65536):
        sys.stdout.write(chunk.decode("latin1"))
except OSError as error:
    sys.stdout.write(type(error).__name__)
`;
  return [PYTHON, '-c', script, host, String(port), text, String(ms)];
}

/** As `tcpClient`, but leaves its sending half open and prints the first answer alone. */
export function firstAnswer(host: string, port: number, text: string, ms = 60_000): string[] {
  const script = `
import socket, sys
host, port, text, seconds = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]) / 1000
try:
    s = socket.create_connection((host, port), seconds)
    s.settimeout(seconds)
    s.sendall(text.encode())
    sys.stdout.write(s.recv(65536).decode("latin1"))
except OSError as error:
    sys.stdout.write(type(error).__name__)
`;
  return [PYTHON, '-c', script, host, String(port), text, String(ms)];
}

/** Speaks TLS itself: verifies `name` against `ca`, sends `text` and prints the first answer. */
export function tlsClient(host: string, port: number, ca: string, name: string, text: string): string[] {
  const script = `
import socket, ssl, sys
host, port, ca, name, text = sys.argv[1], int(sys.argv[2]), *sys.argv[3:]
try:
    s = ssl.create_default_context(cafile=ca).wrap_socket(socket.create_connection((host, port), 60), server_hostname=name)
    s.sendall(text.encode())
    sys.stdout.write(s.recv(65536).decode("latin1"))
except OSError as error:
    sys.stdout.write(type(error).__name__)
`;
  return [PYTHON, '-c', script, host, String(port), ca, name, text];
}

/** Sends one datagram and prints the answer, or the name of the error's class. */
export function udpClient(host: string, port: number, text: string): string[] {
  const script = `
import socket, sys
host, port, text = sys.argv[1], int(sys.argv[2]), sys.argv[3]
try:
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(60)
    s.sendto(text.encode(), (host, port))
    sys.stdout.write(s.recv(65536).decode("latin1"))
except OSError as error:
    sys.stdout.write(type(error).__name__)
`;
  return [PYTHON, '-c', script, host, String(port), text];
}
