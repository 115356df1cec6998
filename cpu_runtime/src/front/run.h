/* One run, from the request to its end. */
#ifndef RKLLM_CPU_RUN_H
#define RKLLM_CPU_RUN_H

#include "session.h"

/* Run a request on a session that was entered for it. Returns what rkllm_run is to return. */
int run_perform(struct session *session, const struct request *request);

#endif
