/*
 * report.h: what the workers are doing, written to the log when an operator asks (SIGUSR1).
 *
 * A line for each pool (live.pool), backend (live.backend) and session (live.session), as
 * router/live.h describes them.
 */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

struct live;

/* Waits for the workers' answers, which come at the end of their present turns. */
void report_live(struct live *live);

#endif
