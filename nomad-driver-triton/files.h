/* SPDX-License-Identifier: MPL-2.0
 *
 * files.h: files of a task whose content goes to its instance. */
#ifndef TRITON_FILES_H
#define TRITON_FILES_H

#include "nomad/task.h"

#include "config.h"

/* Reads the files that user_data_file, user_script_file, cloud_config_file and metadata_files name.  *ret: names of
 * metadata and their values; the caller frees it.  -ENOENT if one is not there, -ELOOP for a symbolic link on its way.
 */
int triton_files_read(const struct nomad_task_info *info, const struct triton_task *want, struct nomad_map *ret,
		      struct nomad_error **err);

#endif
