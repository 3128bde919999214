/*
 * A program of no library, to be copied, renamed, deleted and executed from anywhere: connects (or uses the
 * descriptor it is told), sends so many bytes, waits for the answer, and stays until its standard input ends,
 * so that whoever asks for its executable finds it.
 *
 * usage: dial SIZE ADDRESS PORT | dial SIZE FD
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int count, char **words) {
  if (count < 3)
    return 2;
  long left = atol(words[1]);
  int fd = atoi(words[2]);
  if (count > 3) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(words[3]))};
    inet_pton(AF_INET, words[2], &to.sin_addr);
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
      perror("connect");
      return 1;
    }
  }
  char bytes[4096];
  memset(bytes, 'd', sizeof(bytes));
  while (left > 0) {
    ssize_t sent = write(fd, bytes, left < (long)sizeof(bytes) ? left : (long)sizeof(bytes));
    if (sent <= 0)
      return 1;
    left -= sent;
  }
  shutdown(fd, SHUT_WR);
  while (read(fd, bytes, sizeof(bytes)) > 0)
    ;
  close(fd);
  while (read(0, bytes, sizeof(bytes)) > 0)
    ;
  return 0;
}
