/* Reads frames, and the descriptors that come beside them. */
#ifndef HOST_RECEIVE_H
#define HOST_RECEIVE_H

#include "call.h"
#include "frames.h"

/* Waits for the next frame. Ends the process when the connection has ended.
 *
 * Returns the call, or NULL if the frame is another.
 */
struct call *receive_frame(int connection, struct frame_header *header);

#endif
