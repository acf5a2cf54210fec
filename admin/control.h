/*
 * control.h: the control thread.
 *
 * It owns an event base, a mailbox and the source. Starting and stopping are for the main
 *thread:
 *
 *	control = control_start(conf);
 *	directory = directory_create(control_mailbox(control), control_source(control), …);
 *	control_feed(control, directory, …);
 *	… workers run, workers end …
 *	control_stop(control);
 *	directory_destroy(directory);
 *
 * Look-ups that are open when it stops are answered with DIRECTORY_UNAVAILABLE. A worker that
 *still waits for one must abandon it or drain its mailbox before the directory goes.
 */
#ifndef ADMIN_CONTROL_H
#define ADMIN_CONTROL_H

#include "base/mailbox.h"
#include "conf/conf.h"
#include "router/directory.h"
#include "router/snapshot.h"

struct control;
struct sightings;

/*
 * Uses the settings of [control], which it copies. What is in `sightings`, which must outlive
 * it and may be NULL, it brings into the audit log, as soon as it has a directory. NULL when
 * memory, descriptors or threads are out.
 */
struct control *control_start(const struct conf *conf, struct sightings *sightings);

/*
 * The control thread goes by the settings of [control] in `conf`, which it copies, as soon as
 * it comes to it (store_change), and signs the snapshot with this key. False, and nothing is
 * changed, when memory is out.
 */
bool control_reload(struct control *control, const struct conf *conf,
					const uint8_t snapshot_key[SNAPSHOT_KEY_SIZE]);

/* For letters to the control thread. */
struct mailbox *control_mailbox(const struct control *control);

/* For directory_create. */
const struct directory_source *control_source(const struct control *control);

/* Where the directory is kept for a start without the control database. */
struct control_snapshot {
	const char *path; /* empty: nowhere; copied */
	uint8_t key[SNAPSHOT_KEY_SIZE];
};

/*
 * The directory, which must outlive the thread, is fed with changes from now on, and written to
 * the snapshot's file soon after each, and at the end. Once. False when memory is out.
 */
bool control_feed(struct control *control, struct directory *directory,
				  const struct control_snapshot *snapshot);

/* Ends the thread, waits for its end and frees all. Nobody may post afterwards. NULL is fine.
 */
void control_stop(struct control *control);

#endif
