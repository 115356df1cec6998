/* The script language: what it refuses, and the faults it plays. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front_support.h"

/* ---- Mistakes ---- */

static void try_script(void *path) {
    LLMHandle handle;
    RKLLMParam param = param_for(path);
    CHECK(init_with(&handle, &param) == -1);
}

static void mistake(const char *lines, const char *wanted) {
    char line[256];
    const char *log = log_of(try_script, (char *)(uintptr_t)write_script(lines));
    snprintf(line, sizeof line, "E rkllm: rkllm_init: %s\n", wanted);
    CHECK_TEXT(log, line);
}

static void mistakes_are_named(void) {
    mistake("nonsense\n", "line 2 of the script: expected a fact, init or run");
    mistake("\n# fine\nrun\n tokens \"a\"\n",
            "line 5 of the script: expected a directive of a run");
    mistake("init token \"a\"\n", "line 2 of the script: expected a directive of init");
    mistake("run\n token a\n", "line 3 of the script: expected a quoted text");
    mistake("run\n token\n", "line 3 of the script: expected a quoted text");
    mistake("run\n token \"a\n", "line 3 of the script: expected a closing quote");
    mistake("run\n token \"a\" b\n", "line 3 of the script: expected a number");
    mistake("run\n token \"a\" 1 2\n", "line 3 of the script: expected token \"text\" [ID]");
    mistake("run\n token \"\\q\"\n",
            "line 3 of the script: expected \\n, \\t, \\r, \\\", \\\\ or \\x01 to \\xff");
    mistake("run\n token \"\\x00\"\n",
            "line 3 of the script: expected \\n, \\t, \\r, \\\", \\\\ or \\x01 to \\xff");
    mistake("run\n token \"\\x4",
            "line 3 of the script: expected \\n, \\t, \\r, \\\", \\\\ or \\x01 to \\xff");
    mistake("run\n repeat 2 \"x\"\n", "line 3 of the script: expected token");
    mistake("run\n delay -1\n", "line 3 of the script: expected a number from 0 to 1000000000");
    mistake("run\n delay 1e3\n", "line 3 of the script: expected a number from 0 to 1000000000");
    mistake("run\n delay 1..2\n", "line 3 of the script: expected a number from 0 to 1000000000");
    mistake("run\n logits 1000000 1000000\n",
            "line 3 of the script: expected at most 268435456 values");
    mistake("run mode fast\n", "line 2 of the script: expected generate, hidden or logits");
    mistake("run sometimes\n", "line 2 of the script: expected run [mode MODE] [when \"text\"]");
    mistake("context 0\n", "line 2 of the script: expected a number above 0");
    mistake("template user \"a\"\n", "line 2 of the script: expected a quoted text");
    mistake("run\ncontext 5\n", "line 3 of the script: expected a directive of a run");
    mistake("run\nhang until tomorrow\n", "line 3 of the script: expected hang");
    mistake("init fail\n", "the script fails here");
    mistake("init fail \"out of memory\"\n", "out of memory");
}

static void comments_and_blanks_are_skipped(void) {
    LLMHandle handle = load_script("# facts\r\n\n  context 200 # tokens\r\nrun\t# first\r\n"
                                   "\ttoken\t\"# no comment\" # a comment\r\n   # another\nfinish");
    CHECK_TEXT(told(handle, "x"), "N[# no comment] F");
    CHECK(rkllm_destroy(handle) == 0);
}

static void large_files_are_refused(void) {
    size_t size = (1 << 20) + 1;
    char *text = malloc(size);
    memset(text, '\n', size);
    memcpy(text, "#!rkllm-script 1", 16);
    CHECK(strstr(log_of(try_script, (char *)(uintptr_t)write_file("large", text, size)),
                 "File too large"));
    LLMHandle handle = load_model(write_file("largest", text, size - 1));
    CHECK(rkllm_destroy(handle) == 0);
    free(text);
}

/* ---- Loading ---- */

static void null_handle_is_success(void) {
    LLMHandle handle = (LLMHandle)1;
    RKLLMParam param = param_for(write_script("init null\n"));
    CHECK(init_with(&handle, &param) == 0);
    CHECK(handle == NULL);
}

static void init_takes_its_time(void) {
    double before = now_ms();
    LLMHandle handle = load_script("init delay 30\n");
    CHECK(now_ms() - before >= 29.9);
    CHECK(rkllm_destroy(handle) == 0);
}

/* ---- Faults ---- */

static void play_and_leave(void *lines) {
    alarm(20); /* a hang dies of it */
    LLMHandle handle = load_script(lines);
    told(handle, "x");
}

static int fate(const char *lines) {
    return status_of(play_and_leave, (char *)(uintptr_t)lines);
}

static void died_of(const char *lines, int number) {
    int status = fate(lines);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == number);
}

static void exited_with(const char *lines, int code) {
    int status = fate(lines);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void faults_strike(void) {
    exited_with("run\n echo\n", 0);
    exited_with("init exit 7\n", 7);
    exited_with("run\n token \"a\"\n exit 9\n", 9);
    died_of("init segv\n", SIGSEGV);
    died_of("run\n token \"a\"\n segv\n", SIGSEGV);
    died_of("init abort\n", SIGABRT);
    died_of("run\n abort\n", SIGABRT);
}

static void hang_in_a_child(void *lines) {
    alarm(1);
    LLMHandle handle = load_script(lines);
    told(handle, "x");
}

static void hangs_last(void) {
    int status = status_of(hang_in_a_child, (char *)(uintptr_t)"init hang\n");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
    status = status_of(hang_in_a_child, (char *)(uintptr_t)"run\n hang\n");
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

/* ---- Printing ---- */

static void print_things(void *argument) {
    LLMHandle handle = load_script("init print stderr \"loading\\n\"\n"
                                   "run\n print stderr \"running\\n\"\n");
    told(handle, argument);
    CHECK(rkllm_destroy(handle) == 0);
}

static void prints_reach_stderr(void) {
    const char *log = log_of(print_things, (char *)(uintptr_t) "x");
    CHECK(strstr(log, "loading\n"));
    CHECK(strstr(log, "running\n"));
}

int main(void) {
    mistakes_are_named();
    comments_and_blanks_are_skipped();
    large_files_are_refused();
    null_handle_is_success();
    init_takes_its_time();
    faults_strike();
    hangs_last();
    prints_reach_stderr();
    return finish_checks("front_script");
}
