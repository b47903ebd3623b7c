/* SPDX-License-Identifier: MPL-2.0
 *
 * A whole Nomad driver: it runs a greeting in the shell of the host.
 *
 *	job "hello" {
 *	  group "g" {
 *	    task "t" {
 *	      driver = "hello"
 *	      config {
 *	        name  = "world"
 *	        times = 3
 *	      }
 *	    }
 *	  }
 *	} */
#include <nomad/plugin.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

/* What a job may write, and the struct that it lands in. */
struct hello_task {
	char *name;
	int64_t times;
	char *mood;
};

static const char *const moods[] = { "happy", "tired", NULL };

static const struct nomad_option task_options[] = {
	NOMAD_OPTION(struct hello_task, name, STRING, .required = true, .non_empty = true, .help = "Who is greeted."),
	NOMAD_OPTION(struct hello_task, times, INT, .def = "1", .min = 1, .max = 1000,
		     .help = "How often, once a second."),
	NOMAD_OPTION(struct hello_task, mood, STRING, .def = "\"happy\"", .choices = moods,
		     .help = "A tired driver exits with status 7."),
};

static const struct nomad_schema task_schema = NOMAD_SCHEMA(struct hello_task, task_options);

static void hello_fingerprint(struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	(void)plugin;
	nomad_fp_check(fp, "shell", access("/bin/sh", X_OK) == 0, NOMAD_UNDETECTED, "there is no /bin/sh",
		       "install a shell");
	nomad_fp_string(fp, "greeting", "hello");
}

/* The name is an argument of the script and not a part of it. */
static const char script[] = "i=0; while [ $i -lt \"$2\" ]; do echo \"hello, $1\"; i=$((i + 1)); [ $i -eq \"$2\" ] || "
			     "sleep 1; done; [ \"$3\" = happy ] || exit 7";

static int hello_start(struct nomad_task *task, struct nomad_error **err)
{
	const struct hello_task *config = nomad_task_config(task);
	NOMAD_AUTO_FREE char *times = nomad_strdupf("%" PRId64, config->times);
	const char *argv[] = { "/bin/sh", "-c", script, "hello", config->name, times, config->mood, NULL };
	const struct nomad_command command = { .argv = argv };

	if (!times)
		return nomad_error_errno(err, ENOMEM, "greet '%s'", config->name);
	nomad_task_event(task, "Greeting %s", config->name);
	return nomad_task_run(task, &command, err);
}

static const struct nomad_driver hello_driver = {
	.name = "hello",
	.version = "0.1.0",
	.summary = "greets, to show how a driver is written",
	.capabilities = NOMAD_CAN_SIGNAL | NOMAD_CAN_EXEC,
	.fs_isolation = NOMAD_FS_NONE,
	.task_schema = &task_schema,
	.fingerprint = hello_fingerprint,
	.start = hello_start,
};

int main(int argc, char **argv)
{
	return nomad_plugin_main(argc, argv, &hello_driver);
}
