/* Doing what a script says while a model runs. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
    engine_host *host;
    const char *input, *rendered; /* "" where the input is no text */
    int32_t left;                 /* tokens until max_new_tokens */
};

/* ---- Time ---- */

static bool aborted(const struct player *player) {
    return !player->mark->deaf && host_aborted(player->host);
}

static enum flow rest(const struct player *player, double ms) {
    if (player->mark->deaf) {
        script_sleep(ms);
        return NEXT;
    }
    return host_sleep(player->host, ms) ? NEXT : ENDING;
}

static enum flow wait_for(const struct player *player, const char *file) {
    enum flow flow = NEXT;
    while (flow == NEXT && access(file, F_OK) != 0) flow = rest(player, 1);
    return flow;
}

static enum flow hang_until_abort(const struct player *player) {
    while (!host_aborted(player->host)) host_sleep(player->host, 1e6);
    return ENDING;
}

/* ---- Callbacks ---- */

/* Before a callback: the delay, an abort, the limit. */
static enum flow ready(const struct player *player) {
    const struct script_mark *mark = player->mark;
    if (aborted(player) || player->left == 0) return ENDING;
    return mark->delay > 0 ? rest(player, mark->delay) : NEXT;
}

static enum flow after(int answer) {
    return answer == 1 ? PAUSED : NEXT;
}

static void count(struct player *player) {
    player->mark->emitted++;
    player->left--;
}

static enum flow emit(struct player *player, int state, const char *text, int32_t id) {
    enum flow flow = ready(player);
    if (flow != NEXT) return flow;
    count(player);
    return after(host_emit(player->host, state, text, id));
}

static enum flow emit_token(struct player *player, const char *text, int32_t id) {
    enum flow flow = ready(player);
    if (flow != NEXT) return flow;
    count(player);
    return after(host_emit_token(player->host, text, id));
}

/* The number on the line, or how many tokens came before. */
static int32_t id_of(const struct player *player, const struct script_line *line) {
    return line->n_numbers ? (int32_t)line->numbers[0] : player->mark->emitted;
}

static enum flow emit_control(struct player *player, const struct script_line *line) {
    const char *text = host_hides_control(player->host) ? "" : line->texts[0];
    return emit_token(player, text, id_of(player, line));
}

static enum flow repeat(struct player *player, const struct script_line *line) {
    enum flow flow = NEXT;
    while (flow == NEXT && (double)player->mark->step < line->numbers[0]) {
        player->mark->step++;
        flow = emit_token(player, line->texts[0], player->mark->emitted);
    }
    return flow;
}

/* Tokens that say when they were given, in microseconds: a client sees how long they took. */
static enum flow tell_time(struct player *player, const struct script_line *line) {
    enum flow flow = NEXT;
    while (flow == NEXT && (double)player->mark->step < line->numbers[0]) {
        player->mark->step++;
        if ((flow = ready(player)) != NEXT) return flow;
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        char text[32];
        snprintf(text, sizeof text, "%" PRId64, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
        int32_t id = player->mark->emitted;
        count(player);
        flow = after(host_emit_token(player->host, text, id));
    }
    return flow;
}

/* Bytes of the first word of a text, the white space before it included; 0 at the end. */
static size_t word_length(const char *text) {
    static const char SPACE[] = " \t\r\n";
    size_t length = strspn(text, SPACE);
    return length + strcspn(text + length, SPACE);
}

/* Word by word: put together they are the text again. */
static enum flow echo(struct player *player, const char *text) {
    enum flow flow = NEXT;
    while (flow == NEXT && text[player->mark->step]) {
        const char *from = text + player->mark->step;
        size_t length = word_length(from);
        char *word = strndup(from, length);
        if (!word) return ENDING;
        player->mark->step += length;
        flow = emit_token(player, word, player->mark->emitted);
        free(word);
    }
    return flow;
}

static enum flow emit_rows(struct player *player, char *const *texts, size_t n) {
    int32_t *ids = calloc(n, sizeof *ids);
    enum flow flow = ids ? ready(player) : ENDING;
    for (size_t i = 0; i < n && flow == NEXT; i++) ids[i] = texts[i] ? player->mark->emitted : -1;
    if (flow == NEXT) {
        count(player);
        flow = after(host_emit_batch(player->host, (const char *const *)texts, ids, n));
    }
    free(ids);
    return flow;
}

/* The nth word of a text, to be freed; NULL when it has fewer. */
static char *nth_word(const char *text, size_t n) {
    for (; n > 0; n--) text += word_length(text);
    return *text ? strndup(text, word_length(text)) : NULL;
}

/* Every row its own input, until the longest is over. */
static enum flow echo_rows(struct player *player) {
    size_t n = (size_t)host_rows(player->host), words = 1;
    char **texts = calloc(n, sizeof *texts);
    enum flow flow = texts ? NEXT : ENDING;
    while (flow == NEXT && words > 0) {
        words = 0;
        for (size_t i = 0; i < n; i++) {
            const char *text = host_input(player->host, (int32_t)i);
            texts[i] = nth_word(text ? text : "", player->mark->step);
            if (texts[i]) words++;
        }
        player->mark->step++;
        if (words > 0) flow = emit_rows(player, texts, n);
        for (size_t i = 0; i < n; i++) free(texts[i]);
    }
    free(texts);
    return flow;
}

static enum flow rows(struct player *player, const struct script_line *line) {
    int32_t n = (int32_t)line->numbers[0], width = (int32_t)line->numbers[1];
    if (aborted(player)) return ENDING;
    if (player->mark->delay > 0 && rest(player, player->mark->delay) != NEXT) return ENDING;
    return after((line->op == OP_LOGITS ? host_emit_logits : host_emit_hidden)(
        player->host, HOST_NORMAL, n, width));
}

/* ---- Ends ---- */

static enum flow finish(struct player *player) {
    host_emit(player->host, HOST_FINISH, "", -1);
    return OVER;
}

static enum flow fail(struct player *player) {
    host_emit(player->host, HOST_ERROR, "", -1);
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
        case OP_CONTROL: return emit_control(player, line);
        case OP_RAW: return emit(player, HOST_NORMAL, line->texts[0], id_of(player, line));
        case OP_REPEAT: return repeat(player, line);
        case OP_CLOCK: return tell_time(player, line);
        case OP_ECHO:
            return host_rows(player->host) > 1 ? echo_rows(player) : echo(player, player->input);
        case OP_ECHO_RENDERED: return echo(player, player->rendered);
        case OP_BATCH: return emit_rows(player, line->texts, line->n_texts);
        case OP_WAITING:
            return emit(player, HOST_WAITING, line->n_texts ? line->texts[0] : NULL,
                        player->mark->emitted);
        case OP_NULL: return emit(player, HOST_NORMAL, NULL, player->mark->emitted);
        case OP_STATE:
            return after(host_emit(player->host, (int)line->numbers[0], line->texts[0],
                                   player->mark->emitted));
        case OP_LOGITS:
        case OP_HIDDEN: return rows(player, line);
        case OP_LATE:
            return host_emit_late(player->host, line->texts[0], line->numbers[0]) ? NEXT : ENDING;
        case OP_LATE_INPUT: return host_read_late(player->host, line->numbers[0]) ? NEXT : ENDING;
        case OP_FINISH: return finish(player);
        case OP_NOFINISH: return OVER;
        case OP_ERROR: return fail(player);
        case OP_RETURN: player->mark->result = (int)line->numbers[0]; return NEXT;
        case OP_HANG_UNTIL_ABORT: return hang_until_abort(player);
        case OP_DEAF: player->mark->deaf = true; return NEXT;
        default: script_play_anywhere(line); return NEXT;
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
        case OP_LATE_INPUT:
        case OP_PRINT_OUT:
        case OP_PRINT_ERR: return true;
        default: return false;
    }
}

/* Lines that call back more than once go on where a pause stopped them. */
static bool has_steps(enum script_op op) {
    return op == OP_REPEAT || op == OP_CLOCK || op == OP_ECHO || op == OP_ECHO_RENDERED;
}

int script_play_run(struct script_mark *mark, engine_host *host, const char *input,
                    const char *rendered) {
    struct player player = {mark, host, input ? input : "", rendered ? rendered : "",
                            host_limit(host)};
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
