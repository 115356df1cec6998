/* Callbacks that come when nobody expects them any more. Only scripts ask for them. */
#ifndef RKLLM_CPU_LATE_CALLBACK_H
#define RKLLM_CPU_LATE_CALLBACK_H

#include "settings.h"

struct late_callback; /* one of them */

/* Prepare one, at the head of the list; false when memory is short. */
bool late_callback_add(struct late_callback **list, const struct callbacks *callbacks,
                       void *userdata, const char *text, double ms);

/* The same, but to print how long a text of the caller's is by then, and how it ends. */
bool late_callback_add_reading(struct late_callback **list, const char *given, double ms);

/* Start the clock of all that were added since; those that are over leave the list. */
void late_callback_start(struct late_callback **list);

/* Call off and free the whole list. No callback is under way when this returns. */
void late_callback_cancel(struct late_callback **list);

/* Is the calling thread one of those that call back late? */
bool late_callback_is_here(void);

#endif
