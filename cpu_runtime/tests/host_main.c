/* The program itself, sanitized or not: host_main PROGRAM LIBRARY. What it is told at its start, and
 * its first call.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/frames.h"
#include "host_support.h"

#define LAYOUT "2,0,16,24,32,40,72,1,1"

static const char *program;

struct host {
    pid_t pid;
    int connection, heartbeat, errors;
};

static struct host start(const char *library, const char *layout, const char *descriptors,
                         const char *cpus, const char *oom_score) {
    int pair[2], beats[2], errors[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    CHECK(pipe2(beats, O_CLOEXEC) == 0 && pipe2(errors, O_CLOEXEC) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        /* Copies first: one may have the number of another's place. */
        int copies[] = {fcntl(pair[1], F_DUPFD, 20), fcntl(beats[1], F_DUPFD, 20)};
        dup2(errors[1], STDOUT_FILENO);
        dup2(errors[1], STDERR_FILENO);
        dup2(copies[0], 3);
        dup2(copies[1], 4);
        close(copies[0]);
        close(copies[1]);
        execl(program, program, library, layout, descriptors, cpus, oom_score, (char *)NULL);
        _exit(77);
    }
    close(pair[1]);
    close(beats[1]);
    close(errors[1]);
    return (struct host){pid, pair[0], beats[0], errors[0]};
}

/* Ends it; returns its exit code, and what it has printed. */
static int end(const struct host *host, char *printed, size_t room) {
    int status;
    size_t at = 0;
    ssize_t got;
    close(host->connection);
    while (at + 1 < room && (got = read(host->errors, printed + at, room - at - 1)) > 0)
        at += (size_t)got;
    printed[at] = '\0';
    CHECK(waitpid(host->pid, &status, 0) == host->pid);
    close(host->heartbeat);
    close(host->errors);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void refused(const char *library, const char *layout, const char *cpus, const char *score,
                    const char *sentence) {
    char printed[4096];
    struct host host = start(library, layout, "1024", cpus, score);
    int code = end(&host, printed, sizeof printed);
    if (code == 1 && strstr(printed, sentence) == printed) return;
    fprintf(stderr, "%s %s %s %s: %d, %s\n", library, layout, cpus, score, code, printed);
    exit(1);
}

static void refuses_what_it_cannot_do(const char *library) {
    static const char *const others[] = {
        "", "0,16,24,32,40,72,1,1", "1,0,16,24,32,40,72,1,1", LAYOUT ",1", LAYOUT "x",
        "2,0,16,24,32,x,72,1,1", "2,-1,16,24,32,40,72,1,1"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        refused(library, others[i], "", "",
                "E host: rkllm-host: the daemon is of another version; restart it.");
    static const char *const layouts[] = {
        "2,0,16,24,32,40,4,1,1", "2,0,16,24,32,70,72,1,1", "2,0,16,24,32,40,99999,1,1",
        "2,18446744073709551615,16,24,32,40,72,1,1"};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        refused(library, layouts[i], "", "", "E host: rkllm-host: the layout is damaged.");
    static const char *const processors[] = {"99999", "x", "0,x", ",", "18446744073709551615"};
    for (size_t i = 0; i < sizeof processors / sizeof *processors; i++)
        refused(library, LAYOUT, processors[i], "", "E host: --child-cpus is not possible here: ");
    refused(library, LAYOUT, "", "much", "E host: --child-oom-score is not possible here: ");
    refused("/nowhere.so", LAYOUT, "", "", "E host: the library cannot be loaded: ");
}

static void calls(const char *library, const char *descriptors, int how) {
    struct {
        struct frame_header header;
        struct frame_call call;
        struct frame_entry handle;
    } asked = {{FRAME_CALL, 0, 1, sizeof asked.call + sizeof asked.handle},
               {.n_arguments = 1, .function = "rkllm_destroy", .mark = "mark\n"},
               {PLACE_HANDLE, 0, 0}};
    struct {
        struct frame_header header;
        struct frame_return end;
    } answer;
    char beat, printed[4096];
    struct host host = start(library, LAYOUT, descriptors, "", "500");
    CHECK(read(host.heartbeat, &beat, 1) == 1 && beat == '.');
    if (how) kill(host.pid, how);
    CHECK(write(host.connection, &asked, sizeof asked) == (ssize_t)sizeof asked);
    CHECK(recv(host.connection, &answer, sizeof answer, MSG_WAITALL) == (ssize_t)sizeof answer);
    CHECK(answer.header.kind == FRAME_RETURN && answer.header.number == 1);
    CHECK(end(&host, printed, sizeof printed) == 0);
    CHECK(strncmp(printed, "mark\n", 5) == 0 && !strstr(printed, "ERROR"));
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    program = argv[1];
    refuses_what_it_cannot_do(argv[2]);
    calls(argv[2], "1024", 0);
    calls(argv[2], "18446744073709551615", SIGTERM);
    calls(argv[2], "64", SIGINT);
    return 0;
}
