/* Text leaves in whole characters. */
#include <stdlib.h>

#include "run.h"

static bool reserve(struct engine_stage *run, size_t length) {
    if (run->room >= UTF8_ROOM(length)) return true;
    char *grown = realloc(run->text, UTF8_ROOM(length));
    if (!grown) return false;
    run->text = grown;
    run->room = UTF8_ROOM(length);
    return true;
}

bool run_tell(struct engine_stage *run, const char *bytes, size_t length, int32_t id) {
    if (!reserve(run, length)) return false;
    size_t written = utf8_push(&run->hold, bytes, length, run->text);
    bool waiting = written == 0 && run->hold.length > 0;
    struct outcome outcome = {.text = run->text, .token_id = id};
    run_emit(run, waiting ? RKLLM_RUN_WAITING : RKLLM_RUN_NORMAL, &outcome);
    return true;
}

void run_tell_rest(struct engine_stage *run) {
    if (run->hold.length == 0 || !reserve(run, 0)) return;
    utf8_flush(&run->hold, run->text);
    struct outcome outcome = {.text = run->text, .token_id = NO_TOKEN};
    run_emit(run, RKLLM_RUN_NORMAL, &outcome);
}
