/* SPDX-License-Identifier: MPL-2.0
 *
 * judge.h: the driver's part of the policy. */
#ifndef POT_JUDGE_H
#define POT_JUDGE_H

struct nomad_error;
struct nomad_task;

/* Judges what the library leaves to the driver: the network, and the sources of copies and mounts. */
int pot_judge(const struct nomad_task *task, struct nomad_error **err);
/* The path on the host that SOURCE:DESTINATION names, without links, malloc()ed, if the policy allows it for `option`.
 * *ret_destination points into `entry`. */
int pot_source(const struct nomad_task *task, const char *option, const char *entry, char **ret_source,
	       const char **ret_destination, struct nomad_error **err);

#endif
