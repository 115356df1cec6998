/* The process of the runtime: it opens the library, and makes the calls that the daemon asks for.
 *
 *     rkllm-host LIBRARY LAYOUT DESCRIPTORS CPUS OOM_SCORE_ADJ
 *
 * LAYOUT has FRAMES_VERSION and the members of struct result_layout, CPUS the numbers of processors; both
 * have commas between, and CPUS and OOM_SCORE_ADJ may be empty. Descriptor 3 is the connection to the
 * daemon, 4 the pipe for the heartbeat. rkllm_twisted/isolation/config.py starts it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "frames.h"
#include "host.h"

enum { CONNECTION = 3, HEARTBEAT = 4, HEARTBEAT_INTERVAL_S = 1 };
/* Larger blocks come straight from the system, and go back to it when they are freed. What is free at
 * the end of a heap goes back beyond as much: memory that is new for each row costs more than the row.
 */
enum { KEPT_BYTES = 4 << 20 };
enum { NUMBERS = 9 };

/* Reads numbers with commas between; -1 if there is anything else, or more than the most. */
static int read_numbers(const char *text, unsigned long *numbers, int most) {
    int n = 0;
    while (*text) {
        char *end;
        if (n == most || *text < '0' || *text > '9') return -1;
        numbers[n++] = strtoul(text, &end, 10);
        if (*end && *end != ',') return -1;
        text = *end ? end + 1 : end;
    }
    return n;
}

static struct result_layout read_layout(const char *text) {
    unsigned long n[NUMBERS];
    if (read_numbers(text, n, NUMBERS) != NUMBERS || n[0] != FRAMES_VERSION)
        host_fail("rkllm-host", "the daemon is of another version; restart it");
    if (n[6] < sizeof(void *) || n[6] > RESULT_MAX_BYTES)
        host_fail("rkllm-host", "the layout is damaged");
    for (int i = 1; i < 6; i++)
        if (n[i] > n[6] - sizeof(void *)) host_fail("rkllm-host", "the layout is damaged");
    return (struct result_layout){(uint32_t)n[1], (uint32_t)n[2], (uint32_t)n[3], (uint32_t)n[4],
                                  (uint32_t)n[5], (uint32_t)n[6], n[7] != 0,      n[8] != 0};
}

static void limit_descriptors(const char *text) {
    struct rlimit limit;
    rlim_t wanted = strtoul(text, NULL, 10);
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void choose_processors(const char *text) {
    unsigned long numbers[CPU_SETSIZE];
    int n = read_numbers(text, numbers, CPU_SETSIZE);
    cpu_set_t set;
    CPU_ZERO(&set);
    if (n == 0) return;
    for (int i = 0; i < n; i++)
        if (numbers[i] < CPU_SETSIZE) CPU_SET(numbers[i], &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0)
        host_fail("--child-cpus is not possible here", strerror(errno));
}

static void set_oom_score(const char *text) {
    if (!*text) return;
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0 || write(file, text, strlen(text)) < 0)
        host_fail("--child-oom-score is not possible here", strerror(errno));
    close(file);
}

static void *send_heartbeats(void *unused) {
    (void)unused;
    while (write(HEARTBEAT, ".", 1) == 1 || errno == EINTR) sleep(HEARTBEAT_INTERVAL_S);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 6) host_fail("rkllm-host", "twistd rkllm starts this program");
    /* Both may go to the whole group: the daemon lets the run end, and ends this process. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a full disk is an error of write(2) */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setvbuf(stdout, NULL, _IOLBF, 0); /* of a whole block, a crash would lose the last lines */
    limit_descriptors(argv[3]);
    choose_processors(argv[4]);
    set_oom_score(argv[5]);
#ifdef M_MMAP_THRESHOLD
    mallopt(M_MMAP_THRESHOLD, KEPT_BYTES);
    mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
#endif
    struct result_layout layout = read_layout(argv[2]);
    fcntl(CONNECTION, F_SETFD, FD_CLOEXEC); /* not for programs that the library may start */
    fcntl(HEARTBEAT, F_SETFD, FD_CLOEXEC);
    void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!library) host_fail("the library cannot be loaded", dlerror());
    pthread_t heart; /* after the library, which may hang while it is loaded */
    if (pthread_create(&heart, NULL, send_heartbeats, NULL) != 0)
        host_fail("rkllm-host", "no thread can be started");
    host_serve(CONNECTION, library, &layout);
}
