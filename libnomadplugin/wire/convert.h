/* SPDX-License-Identifier: MPL-2.0
 *
 * wire/convert.h: Nomad's messages and the library's structs. */
#ifndef NOMAD_WIRE_CONVERT_H
#define NOMAD_WIRE_CONVERT_H

#include "core/core.h"
#include "wire/message.h"

enum {
	NOMAD__MAP_MAX = 16384, /* entries of env and other maps */
};

/* Fills a task info with deep copies of a TaskConfig.  -EINVAL if it has no id. */
int nomad__task_info_of(const Pb__TaskConfig *config, struct nomad_task_info *ret,
			struct nomad_error **err) NOMAD_MUST_CHECK;

int nomad__isolation_of(const Pb__NetworkIsolationSpec *spec, struct nomad_network_isolation *ret,
			struct nomad_error **err) NOMAD_MUST_CHECK;
/* The reverse; strings are shared with `isolation`.  Free with ..._message_free(). */
Pb__NetworkIsolationSpec *nomad__isolation_message(const struct nomad_network_isolation *isolation);
void nomad__isolation_message_free(Pb__NetworkIsolationSpec *spec);

/* Entries for a map<string, string> field, in one block for free(); strings are shared. */
int nomad__map_entries(const struct nomad_map *map, const ProtobufCMessageDescriptor *type, void *ret_entries,
		       size_t *ret_n) NOMAD_MUST_CHECK;

/* Nanoseconds, clamped to int64_t; NULL is 0. */
int64_t nomad__duration_ns(const Pb__Duration *duration);
void nomad__exit_result_of(const struct nomad_exit *exit, Pb__ExitResult *ret);
/* 0 becomes Go's zero time. */
void nomad__timestamp_of(int64_t time_ns, Pb__Timestamp *ret);

#endif
