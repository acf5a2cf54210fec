/* process.h: what the kernel says of this process, as Prometheus' client libraries report it.
 */
#ifndef ADMIN_PROCESS_H
#define ADMIN_PROCESS_H

#include <stdint.h>

struct process_measures {
	double cpu_seconds, start_seconds; /* the latter since the Unix epoch */
	uint64_t resident_bytes, open_fds, max_fds;
};

/* What cannot be found out is 0. */
void process_measure(struct process_measures *out);

#endif
