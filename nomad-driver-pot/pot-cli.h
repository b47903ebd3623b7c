/* SPDX-License-Identifier: MPL-2.0
 *
 * pot-cli.h: the command lines that are given to pot(8).
 *
 * Each function returns a new NULL-terminated vector, free with
 * nomad_strv_free(), or NULL when memory ran out.  `pot` is the program, `name`
 * the name of the task's pot.  Nothing here runs anything: see pot.c. */
#ifndef POT_CLI_H
#define POT_CLI_H

#include "config.h"
#include "nomad/task.h"

/* The pot of a task is called POT_NAME_PREFIX + "_" + its slug: `prepare`
 * takes the two halves apart. */
#define POT_NAME_PREFIX "nomad"

/* A port of the host and where it leads. */
struct pot_port {
	bool udp;
	int inside, host;
};

/* What the options port_map and ports come to, with the ports that the job was
 * given: udp first (pot gives a tcp port that it stores behind a udp one a
 * tunnel for udp, and stores them the other way round).
 * -EINVAL if a label has no port.  *ret_ports is malloc()ed. */
int pot_ports(const struct pot_task_config *config, const struct nomad_task_info *info, struct pot_port **ret_ports,
	      size_t *ret_count, struct nomad_error **err) NOMAD_MUST_CHECK;

/* The task's command, started by pot-run, as one line for the jail's shell, or NULL if the image's
 * own is to run (*ret_oom false) or memory ran out (true). */
char *pot_command_line(const struct pot_task_config *config, const char *user, bool *ret_oom);
/* A line that has pot-run start `command` as `user` (NULL or "": root), malloc()ed. */
char *pot_run_line(const char *user, const char *command);
/* `s` as one word for a shell. */
char *pot_quote(const char *s);

/* `dns_file` NULL: option dns counts. */
char **pot_argv_prepare(const char *pot, const struct pot_task_config *config, const struct pot_port *ports,
			size_t n_ports, const char *dns_file, const char *user, const char *slug);
char **pot_argv_set_command(const char *pot, const char *name, const char *line);
char **pot_argv_set_attribute(const char *pot, const char *name, const char *attribute, const char *value);
char **pot_argv_copy_in(const char *pot, const char *name, const char *source, const char *destination);
char **pot_argv_mount_in(const char *pot, const char *name, const char *directory, const char *mount_point,
			 bool read_only);
/* `assignments`: NAME=VALUE each, values as pot_env_*() made them. */
char **pot_argv_set_env(const char *pot, const char *name, const char *const *assignments);
char **pot_argv_set_hosts(const char *pot, const char *name, const char *const *hosts);
char **pot_argv_set_memory(const char *pot, const char *name, int64_t megabytes);
char **pot_argv_set_cpus(const char *pot, const char *name, int64_t cpus);
/* The supervised command: `start` in the foreground; appends what pot says to `file`, and reports the task's true end
 * over NOMAD_EXIT_FD. */
char **pot_argv_start(const char *pot, const char *name, const char *file);
char **pot_argv_stop(const char *pot, const char *name);
char **pot_argv_destroy(const char *pot, const char *name);
char **pot_argv_destroy_image(const char *pot, const char *image);
char **pot_argv_signal(const char *pot, const char *name, const char *signal_name);
/* `env_script`: a file in the jail that exports the task's environment; or NULL, then
 * `assignments` (may be NULL) is given to the command. */
char **pot_argv_exec(const char *pot, const char *name, const char *user, const char *const *command,
		     const char *env_script, const char *const *assignments);
char **pot_argv_exists(const char *pot, const char *name);
char **pot_argv_is_running(const char *pot, const char *name);
/* Prints the pot's variables, for pot_parse_address(). */
char **pot_argv_info_env(const char *pot, const char *name);
/* From "starting" a pot may become "doa", from "stopping" it may become "stopped". */
char **pot_argv_set_status(const char *pot, const char *name, const char *status);
char **pot_argv_version(const char *pot);
char **pot_argv_config(const char *pot, const char *key);

/* ifconfig(8), mount(8) and umount(8): what commands of pot that were killed leave behind (leftovers.h). */
char **pot_argv_interfaces(void);
char **pot_argv_interface_destroy(const char *interface);
char **pot_argv_mounts(void);
char **pot_argv_unmount(const char *mount_point);

/* rctl(8): limits that pot cannot set, and the rules that it leaves behind. */
char **pot_argv_rctl_add(const char *name, const char *resource, const char *action, const char *amount);
char **pot_argv_rctl_remove(const char *name);

/* "SIGTERM" for a number, or NULL where pot knows no such signal. */
const char *pot_signal_name(int signal);
/* The address in the output of info -E, malloc()ed; NULL: the pot has no own address. */
char *pot_parse_address(const char *output);
/* The first line of `output` that pot marks as an error, without the mark, malloc()ed; or NULL. */
char *pot_first_complaint(const char *output);

/* Looks for an interface in the output of ifconfig -a, which is given line by line. */
struct pot_interface {
	const char *description; /* wanted */
	char name[32];		 /* of the interface that the lines are about */
	bool found;
};
/* True, and `found` set, at the line that gives `name` the wanted description.  Later lines change nothing. */
bool pot_find_interface(struct pot_interface *interface, const char *line);
/* The mount point below `root`, a directory with a slash at its end, in a line of mount -p, malloc()ed; NULL: there is
 * none, or memory ran out.  ZFS's own mounts do not count: they go with their data sets. */
char *pot_mount_point_below(const char *line, const char *root);

#endif
