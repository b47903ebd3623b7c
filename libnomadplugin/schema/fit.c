/* SPDX-License-Identifier: MPL-2.0
 *
 * The tables of a driver that was built with an older header: copies as long
 * as this library's structs, made once at the start and kept. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/plugin.h"
#include "schema/inner.h"

/* Zeroed behind what the driver has. */
static void *grown(const void *from, size_t size, size_t full)
{
	void *to = calloc(1, full);

	if (to)
		memcpy(to, from, size < full ? size : full);
	return to;
}

static const struct nomad_schema *schema_of(const struct nomad_schema *from, const struct nomad_abi *abi, int depth)
{
	struct nomad_schema *to = grown(from, abi->schema, sizeof(*to));
	struct nomad_option *rows = to ? calloc(to->count + 1, sizeof(*rows)) : NULL;

	if (!rows || depth > NOMAD__SCHEMA_MAX_DEPTH + 1) { /* the check of the table reports a deeper one */
		free(to);
		free(rows);
		return NULL;
	}
	for (size_t i = 0; i < to->count; i++) {
		memcpy(&rows[i], (const char *)from->options + i * abi->option, abi->option);
		if (rows[i].power && !(rows[i].power = grown(rows[i].power, abi->power, sizeof(*rows[i].power))))
			return NULL;
		if (rows[i].block && !(rows[i].block = schema_of(rows[i].block, abi, depth + 1)))
			return NULL;
	}
	to->options = rows;
	return to;
}

const struct nomad_driver *nomad__driver_fit(const struct nomad_driver *driver, const struct nomad_abi *abi,
					     struct nomad_error **err)
{
	struct nomad_driver *to;

	if (abi->driver == sizeof(*driver) && abi->schema == sizeof(struct nomad_schema) &&
	    abi->option == sizeof(struct nomad_option) && abi->power == sizeof(struct nomad_power))
		return driver;
	to = grown(driver, abi->driver, sizeof(*to));
	if (to && to->config_schema)
		to->config_schema = schema_of(to->config_schema, abi, 0);
	if (to && to->task_schema)
		to->task_schema = schema_of(to->task_schema, abi, 0);
	if (!to || (!to->config_schema && driver->config_schema) || (!to->task_schema && driver->task_schema)) {
		nomad_error_errno(err, ENOMEM, "copy the tables of driver '%s'", driver->name);
		return NULL;
	}
	return to;
}
