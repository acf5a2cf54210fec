#include "admin/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static double seconds(const struct timeval *time)
{
	return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static void measure_usage(struct process_measures *out)
{
	struct rusage usage;
	struct rlimit limit;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		out->cpu_seconds = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		out->max_fds = limit.rlim_cur;
}

/* proc(5): the second number is resident pages. */
static void measure_memory(struct process_measures *out)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages;

	if (file && fscanf(file, "%*u %" SCNu64, &pages) == 1)
		out->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
	if (file)
		fclose(file);
}

/* proc(5): field 22 is when it began, in ticks since the system did; the name in field 2 may
 * hold anything, but ends with the last parenthesis. */
static void measure_start(struct process_measures *out)
{
	FILE *file = fopen("/proc/self/stat", "re");
	char line[1024];
	uint64_t ticks;
	struct timespec up, now;

	if (!file)
		return;
	size_t len = fread(line, 1, sizeof line - 1, file);
	fclose(file);
	line[len] = '\0';
	const char *at = strrchr(line, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (!at || sscanf(at, " %" SCNu64, &ticks) != 1)
		return;
	clock_gettime(CLOCK_BOOTTIME, &up);
	clock_gettime(CLOCK_REALTIME, &now);
	out->start_seconds = (double)(now.tv_sec - up.tv_sec) +
						 (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
						 (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

static void measure_descriptors(struct process_measures *out)
{
	DIR *folder = opendir("/proc/self/fd");

	if (!folder)
		return;
	for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
		out->open_fds += *entry->d_name != '.';
	closedir(folder);
	out->open_fds--; /* the folder's own */
}

void process_measure(struct process_measures *out)
{
	*out = (struct process_measures){0};
	measure_usage(out);
	measure_memory(out);
	measure_start(out);
	measure_descriptors(out);
}
