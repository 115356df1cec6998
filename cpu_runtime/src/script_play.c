/* Doing what a script says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "script.h"

enum flow {
    NEXT,   /* on to the next line */
    ENDING, /* on to the line that ends the run */
    OVER,   /* the run has ended */
    PAUSED, /* a callback returned 1 */
};

struct player {
    struct script_mark *mark;
    engine_stage *stage;
    const char *input, *rendered; /* "" where the input is no text */
};

/* ---- Faults ---- */

static void sleep_soundly(double ms) {
    struct timespec time = {.tv_sec = (time_t)(ms / 1e3)};
    time.tv_nsec = (long)((ms - (double)time.tv_sec * 1e3) * 1e6);
    while (nanosleep(&time, &time) != 0) continue;
}

_Noreturn static void hang(void) {
    for (;;) sleep_soundly(1e6);
}

/* A true fault: raise() would not show what a handler sees of one. */
static void fault(void) {
    char *page = mmap(NULL, 1, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(volatile char *)page = 1;
}

static void print(FILE *file, const char *text) {
    fputs(text, file);
    fflush(file);
}

/* What is the same while a model opens and while it runs; false when it is none of these. */
static bool play_anywhere(const struct script_line *line) {
    switch (line->op) {
        case OP_HANG: hang();
        case OP_SEGV: fault(); return true;
        case OP_ABORT: abort();
        case OP_EXIT: _exit((int)line->numbers[0]);
        case OP_PRINT_OUT: print(stdout, line->texts[0]); return true;
        case OP_PRINT_ERR: print(stderr, line->texts[0]); return true;
        default: return false;
    }
}

int script_play_init(const struct script_section *init, engine_error *error) {
    for (size_t i = 0; i < init->n; i++) {
        const struct script_line *line = &init->lines[i];
        if (line->op == OP_NULL_HANDLE) return ENGINE_NULL_HANDLE;
        if (line->op == OP_FAIL) {
            snprintf(error->text, sizeof error->text, "%s",
                     line->n_texts ? line->texts[0] : "the script fails here");
            return ENGINE_REFUSED;
        }
        if (line->op == OP_SLEEP) sleep_soundly(line->numbers[0]);
        while (line->op == OP_WAIT && access(line->texts[0], F_OK) != 0) sleep_soundly(1);
        play_anywhere(line);
    }
    return ENGINE_OK;
}

/* ---- Time ---- */

static bool aborted(const struct player *player) {
    return !player->mark->deaf && stage_aborted(player->stage);
}

static enum flow rest(const struct player *player, double ms) {
    if (player->mark->deaf) {
        sleep_soundly(ms);
        return NEXT;
    }
    return stage_sleep(player->stage, ms) ? NEXT : ENDING;
}

static enum flow wait_for(const struct player *player, const char *file) {
    enum flow flow = NEXT;
    while (flow == NEXT && access(file, F_OK) != 0) flow = rest(player, 1);
    return flow;
}

static enum flow hang_until_abort(const struct player *player) {
    while (!stage_aborted(player->stage)) stage_sleep(player->stage, 1e6);
    return ENDING;
}

/* ---- Callbacks ---- */

/* Before a callback: the delay, an abort, the limit. */
static enum flow ready(const struct player *player) {
    const struct script_mark *mark = player->mark;
    if (aborted(player) || mark->emitted >= stage_limit(player->stage)) return ENDING;
    return mark->delay > 0 ? rest(player, mark->delay) : NEXT;
}

static enum flow after(int answer) {
    return answer == 1 ? PAUSED : NEXT;
}

static enum flow emit(struct player *player, int state, const char *text, int32_t id) {
    enum flow flow = ready(player);
    if (flow != NEXT) return flow;
    player->mark->emitted++;
    return after(stage_emit(player->stage, state, text, id));
}

static enum flow emit_token(struct player *player, const char *text, int32_t id) {
    enum flow flow = ready(player);
    if (flow != NEXT) return flow;
    player->mark->emitted++;
    return after(stage_emit_token(player->stage, text, id));
}

/* The number on the line, or how many tokens came before. */
static int32_t id_of(const struct player *player, const struct script_line *line) {
    return line->n_numbers ? (int32_t)line->numbers[0] : player->mark->emitted;
}

static enum flow repeat(struct player *player, const struct script_line *line) {
    enum flow flow = NEXT;
    while (flow == NEXT && (double)player->mark->step < line->numbers[0]) {
        player->mark->step++;
        flow = emit_token(player, line->texts[0], player->mark->emitted);
    }
    return flow;
}

/* Word by word, the white space before a word with it; put together it is the text again. */
static enum flow echo(struct player *player, const char *text) {
    static const char SPACE[] = " \t\r\n";
    enum flow flow = NEXT;
    while (flow == NEXT && text[player->mark->step]) {
        const char *from = text + player->mark->step;
        size_t length = strspn(from, SPACE);
        length += strcspn(from + length, SPACE);
        char *word = strndup(from, length);
        if (!word) return ENDING;
        player->mark->step += length;
        flow = emit_token(player, word, player->mark->emitted);
        free(word);
    }
    return flow;
}

static enum flow batch(struct player *player, const struct script_line *line) {
    enum flow flow = ready(player);
    int32_t *ids = calloc(line->n_texts, sizeof *ids);
    if (!ids) return ENDING;
    for (size_t i = 0; i < line->n_texts; i++) {
        ids[i] = line->texts[i] ? player->mark->emitted : -1;
    }
    if (flow == NEXT) {
        player->mark->emitted++;
        flow = after(stage_emit_batch(player->stage, (const char *const *)line->texts, ids,
                                      line->n_texts));
    }
    free(ids);
    return flow;
}

static enum flow rows(struct player *player, const struct script_line *line) {
    int32_t n = (int32_t)line->numbers[0], width = (int32_t)line->numbers[1];
    if (aborted(player)) return ENDING;
    if (player->mark->delay > 0 && rest(player, player->mark->delay) != NEXT) return ENDING;
    return after((line->op == OP_LOGITS ? stage_emit_logits : stage_emit_hidden)(
        player->stage, STAGE_NORMAL, n, width));
}

/* ---- Ends ---- */

static enum flow finish(struct player *player) {
    stage_emit(player->stage, STAGE_FINISH, "", -1);
    return OVER;
}

static enum flow fail(struct player *player) {
    stage_emit(player->stage, STAGE_ERROR, "", -1);
    if (player->mark->result == 0) player->mark->result = -1;
    return OVER;
}

/* ---- Lines ---- */

static enum flow play_line(struct player *player, const struct script_line *line) {
    switch (line->op) {
        case OP_DELAY: player->mark->delay = line->numbers[0]; return NEXT;
        case OP_SLEEP: return rest(player, line->numbers[0]);
        case OP_WAIT: return wait_for(player, line->texts[0]);
        case OP_TOKEN: return emit_token(player, line->texts[0], id_of(player, line));
        case OP_RAW: return emit(player, STAGE_NORMAL, line->texts[0], id_of(player, line));
        case OP_REPEAT: return repeat(player, line);
        case OP_ECHO: return echo(player, player->input);
        case OP_ECHO_RENDERED: return echo(player, player->rendered);
        case OP_BATCH: return batch(player, line);
        case OP_WAITING:
            return emit(player, STAGE_WAITING, line->n_texts ? line->texts[0] : NULL,
                        player->mark->emitted);
        case OP_NULL: return emit(player, STAGE_NORMAL, NULL, player->mark->emitted);
        case OP_STATE:
            return after(stage_emit(player->stage, (int)line->numbers[0], line->texts[0],
                                    player->mark->emitted));
        case OP_LOGITS:
        case OP_HIDDEN: return rows(player, line);
        case OP_LATE:
            return stage_emit_late(player->stage, line->texts[0], line->numbers[0]) ? NEXT : ENDING;
        case OP_FINISH: return finish(player);
        case OP_NOFINISH: return OVER;
        case OP_ERROR: return fail(player);
        case OP_RETURN: player->mark->result = (int)line->numbers[0]; return NEXT;
        case OP_HANG_UNTIL_ABORT: return hang_until_abort(player);
        case OP_DEAF: player->mark->deaf = true; return NEXT;
        default: play_anywhere(line); return NEXT;
    }
}

/* An abort or the limit skips everything but what ends the run, and what is said about its end. */
static bool counts_at_the_end(enum script_op op) {
    switch (op) {
        case OP_FINISH:
        case OP_NOFINISH:
        case OP_ERROR:
        case OP_RETURN:
        case OP_LATE:
        case OP_PRINT_OUT:
        case OP_PRINT_ERR: return true;
        default: return false;
    }
}

/* Lines that call back more than once go on where a pause stopped them. */
static bool has_steps(enum script_op op) {
    return op == OP_REPEAT || op == OP_ECHO || op == OP_ECHO_RENDERED;
}

int script_play_run(struct script_mark *mark, engine_stage *stage, const char *input,
                    const char *rendered) {
    struct player player = {mark, stage, input ? input : "", rendered ? rendered : ""};
    enum flow flow = NEXT;
    bool ending = false;
    while (flow != OVER && mark->line < mark->section->n) {
        const struct script_line *line = &mark->section->lines[mark->line];
        flow = !ending || counts_at_the_end(line->op) ? play_line(&player, line) : NEXT;
        if (flow == ENDING) ending = true;
        if (flow != PAUSED || !has_steps(line->op)) {
            mark->line++;
            mark->step = 0;
        }
        if (flow == PAUSED) return 0;
    }
    if (flow != OVER) finish(&player);
    return mark->result;
}
