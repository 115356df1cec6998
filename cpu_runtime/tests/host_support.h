/* What the tests of the host have in common. */
#ifndef HOST_SUPPORT_H
#define HOST_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>

/* Ends the program, in whichever of its processes, with the line and what should be true. */
#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

#endif
