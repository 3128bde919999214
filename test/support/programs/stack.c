// SPDX-License-Identifier: Apache-2.0
// Loads BPF objects and says how deep the verifier found each frame of their programs: `PROGRAM 112+104+56`.
//
//   stack PIN_DIRECTORY OBJECT...    maps are pinned in that directory, which is the caller's to take away
//
// An object the kernel does not take is left out: a kernel may have no BPF LSM.
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Statistics, and not the steps.
#define LOG_LEVEL 4
#define LOG_BYTES 65536

static int say_nothing(enum libbpf_print_level level, const char *format, va_list args) {
  (void)level, (void)format, (void)args;
  return 0;
}

static void tell(const struct bpf_program *program) {
  size_t size;
  const char *log = bpf_program__log_buf(program, &size);
  const char *depth = log ? strstr(log, "stack depth ") : NULL;
  if (depth)
    printf("%s %.*s\n", bpf_program__name(program), (int)strcspn(depth + 12, "\n"), depth + 12);
}

int main(int argc, char **argv) {
  libbpf_set_print(say_nothing);
  for (int i = 2; i < argc; i++) {
    LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = argv[1]);
    struct bpf_object *object = bpf_object__open_file(argv[i], &options);
    struct bpf_program *program;
    if (!object)
      return 1;
    bpf_object__for_each_program(program, object) {
      char *log = calloc(1, LOG_BYTES); // until the end
      bpf_program__set_log_level(program, LOG_LEVEL);
      if (!log || bpf_program__set_log_buf(program, log, LOG_BYTES))
        return 1;
    }
    if (!bpf_object__load(object))
      bpf_object__for_each_program(program, object) tell(program);
    bpf_object__close(object);
  }
  return 0;
}
