/* How long things took: the last million of them. */
#ifndef SAMPLES_H
#define SAMPLES_H

/* Note one, in microseconds. */
void sample(double microseconds);

/* How many were noted. */
long sampled(void);

/* Print members of a JSON object: the 50th and the 99th percentile, and the longest. */
void print_samples(void);

#endif
