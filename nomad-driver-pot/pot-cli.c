/* SPDX-License-Identifier: MPL-2.0
 *
 * pot-cli.c: every command line that is given to pot(8), argument by argument.
 *
 * pot is a set of shell scripts.  It stores most arguments as a line of text and
 * reads them again later, some of them as shell code in the jail.  These are
 * quoted here or in env.c.  No command line is ever built for a shell of the
 * host.  The one script below (of
 * pot_argv_start) is a constant, and its arguments are positional.
 *
 * The facts were learned from pot 0.16. */
#include "pot-cli.h"

#include <sys/socket.h>
#include <netinet/in.h>

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nomad/error.h"
#include "run.h"

/* ---- Building blocks ---- */

/* A vector from its elements, the last of them NULL. */
__attribute__((sentinel)) static char **argv_of(const char *first, ...)
{
	char **argv = NULL;
	va_list ap;

	va_start(ap, first);
	for (const char *arg = first; arg; arg = va_arg(ap, const char *)) {
		if (nomad_strv_add(&argv, arg) < 0) {
			nomad_strv_free(argv);
			argv = NULL;
			break;
		}
	}
	va_end(ap);
	return argv;
}

/* Append to *argv, the last of the arguments NULL; false, and *argv freed, without memory. */
__attribute__((sentinel)) static bool add(char ***argv, ...)
{
	const char *arg;
	bool ok = *argv != NULL;
	va_list ap;

	va_start(ap, argv);
	while (ok && (arg = va_arg(ap, const char *)))
		ok = nomad_strv_add(argv, arg) >= 0;
	va_end(ap);
	if (!ok) {
		nomad_strv_free(*argv);
		*argv = NULL;
	}
	return ok;
}

NOMAD_PRINTF(2, 3)
static bool addf(char ***argv, const char *fmt, ...)
{
	char *arg = NULL;
	va_list ap;
	bool ok;

	va_start(ap, fmt);
	ok = vasprintf(&arg, fmt, ap) >= 0;
	va_end(ap);
	if (!ok)
		arg = NULL;
	ok = ok && *argv && nomad_strv_add(argv, arg) >= 0;
	free(arg);
	if (!ok) {
		nomad_strv_free(*argv);
		*argv = NULL;
	}
	return ok;
}

/* ---- The task's command ---- */

char *pot_quote(const char *s)
{
	size_t quotes = 0, n = strlen(s);
	char *word, *p;

	for (const char *q = s; (q = strchr(q, '\'')); q++)
		quotes++;
	p = word = malloc(n + 3 * quotes + 3);
	if (!word)
		return NULL;
	*p++ = '\'';
	for (; *s; s++) {
		if (*s == '\'') {
			memcpy(p, "'\\''", 4);
			p += 4;
		} else {
			*p++ = *s;
		}
	}
	*p++ = '\'';
	*p = '\0';
	return word;
}

static bool is_single_quoted(const char *s)
{
	size_t n = strlen(s);

	return n >= 2 && s[0] == '\'' && strchr(s + 1, '\'') == s + n - 1;
}

char *pot_run_line(const char *user, const char *command)
{
	NOMAD_AUTO_FREE char *quoted = user && *user ? pot_quote(user) : NULL;

	if (!user || !*user)
		return nomad_strdupf(POT_RUN " %s", command);
	return quoted ? nomad_strdupf(POT_RUN " -u %s %s", quoted, command) : NULL;
}

char *pot_command_line(const struct pot_task_config *config, const char *user, bool *ret_oom)
{
	char *line;

	*ret_oom = false;
	if (!config->command)
		return NULL;
	line = pot_run_line(user, config->command);
	for (size_t i = 0; line && config->args && config->args[i]; i++) {
		const char *arg = config->args[i];
		char *word = is_single_quoted(arg) ? strdup(arg) : pot_quote(arg);
		char *longer = word ? nomad_strdupf("%s %s", line, word) : NULL;

		free(word);
		free(line);
		line = longer;
	}
	*ret_oom = !line;
	return line;
}

/* ---- Ports ---- */

int pot_ports(const struct pot_task_config *config, const struct nomad_task_info *info, struct pot_port **ret_ports,
	      size_t *ret_count, struct nomad_error **err)
{
	size_t n_labels = nomad_strv_count((const char *const *)config->ports);
	struct pot_port *ports;
	size_t n = 0;

	if (!pot_has_own_network(config)) {
		*ret_ports = NULL;
		*ret_count = 0;
		return 0;
	}
	ports = calloc(config->port_map.count + n_labels + 1, sizeof(*ports));
	if (!ports)
		return nomad_error_errno(err, ENOMEM, "list the ports");
	/* udp in the first round, tcp in the second. */
	for (int udp = 1; udp >= 0; udp--) {
		for (size_t i = 0; i < config->port_map.count; i++) {
			const struct nomad_pair *pair = &config->port_map.pairs[i];
			const struct nomad_port *port = nomad_port_find(&info->resources, pair->key);
			const char *inside;

			if (pot_is_udp(pair->value, &inside) != (bool)udp)
				continue;
			if (!port) {
				free(ports);
				return nomad_error_set(err, EINVAL,
						       "option 'port_map': the job has no port labelled '%s'; name it "
						       "in the group's network block",
						       pair->key);
			}
			ports[n++] = (struct pot_port){ .udp = udp, .inside = atoi(inside), .host = port->value };
		}
		for (size_t i = 0; i < n_labels; i++) {
			const struct nomad_port *port;
			const char *label;

			if (pot_is_udp(config->ports[i], &label) != (bool)udp)
				continue;
			port = nomad_port_find(&info->resources, label);
			if (!port) {
				free(ports);
				return nomad_error_set(err, EINVAL,
						       "option 'ports': the job has no port labelled '%s'; name it in "
						       "the group's network block",
						       label);
			}
			ports[n++] = (struct pot_port){ .udp = udp,
							.inside = port->to > 0 ? port->to : port->value,
							.host = port->value };
		}
	}
	*ret_ports = ports;
	*ret_count = n;
	return 0;
}

/* ---- Making a pot ---- */

/* pot strips one pair of double quotes: give it one, so that a line that has its own keeps them. */
static void add_command(char ***argv, const char *line)
{
	add(argv, "-c", NULL);
	addf(argv, "\"%s\"", line);
}

char **pot_argv_prepare(const char *pot, const struct pot_task_config *config, const struct pot_port *ports,
			size_t n_ports, const char *dns_file, const char *user, const char *slug)
{
	char **argv = argv_of(pot, "prepare", "-U", config->image, "-p", config->pot, "-t", config->tag, NULL);
	const char *mode = config->network_mode;
	bool oom;
	char *line = pot_command_line(config, user, &oom);

	if (oom) {
		nomad_strv_free(argv);
		argv = NULL;
	} else if (line) {
		add_command(&argv, line);
	}
	free(line);
	if (mode)
		add(&argv, "-N", mode, NULL);
	else if (n_ports > 0)
		add(&argv, "-N", "public-bridge", "-i", "auto", NULL);
	for (char **ip = config->ip; ip && *ip; ip++)
		add(&argv, "-i", *ip, NULL);
	if (config->bridge)
		add(&argv, "-B", config->bridge, NULL);
	if (config->network_stack)
		add(&argv, "-S", config->network_stack, NULL);
	if (dns_file) {
		add(&argv, "-d", NULL);
		addf(&argv, "custom:%s", dns_file);
	} else if (config->dns) {
		add(&argv, "-d", config->dns, NULL);
	}
	if (config->signature_key)
		add(&argv, "-C", config->signature_key, NULL);
	/* No "tcp:" in front: pot stop would then not find the port's tunnel. */
	for (size_t i = 0; i < n_ports; i++) {
		add(&argv, "-e", NULL);
		addf(&argv, "%s%d:%d", ports[i].udp ? "udp:" : "", ports[i].inside, ports[i].host);
	}
	add(&argv, "-a", slug, "-n", POT_NAME_PREFIX, "-v", NULL);
	return argv;
}

char **pot_argv_set_command(const char *pot, const char *name, const char *line)
{
	char **argv = argv_of(pot, "set-cmd", "-p", name, NULL);

	add_command(&argv, line);
	return argv;
}

char **pot_argv_set_attribute(const char *pot, const char *name, const char *attribute, const char *value)
{
	return argv_of(pot, "set-attribute", "-p", name, "-A", attribute, "-V", value, NULL);
}

char **pot_argv_copy_in(const char *pot, const char *name, const char *source, const char *destination)
{
	return argv_of(pot, "copy-in", "-p", name, "-s", source, "-d", destination, NULL);
}

char **pot_argv_mount_in(const char *pot, const char *name, const char *directory, const char *mount_point,
			 bool read_only)
{
	return argv_of(pot, "mount-in", "-p", name, "-d", directory, "-m", mount_point, read_only ? "-r" : NULL, NULL);
}

static char **with_each(char **argv, const char *flag, const char *const *values)
{
	for (; values && *values; values++)
		add(&argv, flag, *values, NULL);
	return argv;
}

char **pot_argv_set_env(const char *pot, const char *name, const char *const *assignments)
{
	return with_each(argv_of(pot, "set-env", "-p", name, NULL), "-E", assignments);
}

char **pot_argv_set_hosts(const char *pot, const char *name, const char *const *hosts)
{
	/* Without the variable, which its author misspelt, pot makes a file of a fixed name in a directory that all
	 * may write to: two calls at once and one fails, one that was killed and all later ones do. */
	return with_each(argv_of("env", "POT_MKTMP_SUFFIX=.XXXXXXXX", pot, "set-hosts", "-p", name, NULL), "-H", hosts);
}

char **pot_argv_set_memory(const char *pot, const char *name, int64_t megabytes)
{
	char **argv = argv_of(pot, "set-rss", "-M", NULL);

	addf(&argv, "%" PRId64 "M", megabytes);
	add(&argv, "-p", name, NULL);
	return argv;
}

char **pot_argv_set_cpus(const char *pot, const char *name, int64_t cpus)
{
	char **argv = argv_of(pot, "set-rss", "-C", NULL);

	addf(&argv, "%" PRId64, cpus);
	add(&argv, "-p", name, NULL);
	return argv;
}

/* ---- Its life ---- */

/* pot start ends with 0 or 125 for the task, but also with 0 when a pot stop
 * was faster, and only last-run-stats knows the task's own code.  Somebody has
 * to ask for it as soon as pot start has ended: `pot prune`, which hosts run
 * from cron, destroys pots that have run, and the code with them.  The plugin
 * cannot, as it may be away for a day, and the supervisor knows no drivers.  So the
 * supervised process is a shell that runs the two one after the other and
 * reports the answer over descriptor 4 (NOMAD_EXIT_FD), which the jail does
 * not get; pot is a shell script itself, so
 * another one shares its memory, where a copy of this program would not.
 * pot's shell turns a death by signal into a code above 128.  The kernel logs the rule of memory_kill by which it
 * has killed (limits.c).
 *
 * SIGTERM to the process group ends a pot start that hangs; this shell then still reads the exit code.
 *
 * What pot says goes to a file: the task's stdout is POT_STDOUT_FD, which pot-run takes in the jail. */
static const char start_script[] = "trap : TERM\n"
				   "\"$1\" start \"$2\" 5>&1 >>\"$3\" 4>&-; r=$?\n"
				   "for i in 1 2 3; do\n"
				   "s=$(timeout 60 \"$1\" last-run-stats -p \"$2\" 2>/dev/null 4>&-) && break\n"
				   "s=; sleep 1; done\n"
				   "c=${s#*\\\"ExitCode\\\": }; c=${c%%[!0-9]*}\n"
				   "case $s in *ExitCode*[0-9]*) ;; *) c= ;; esac\n"
				   "if [ -z \"$c\" ]; then exit \"$r\"; fi\n"
				   "n=0; if [ \"$c\" -gt 128 ] && [ \"$c\" -le 192 ]; then n=$((c - 128)); fi\n"
				   "o=0\n"
				   "if [ $n -eq 9 ] && dmesg 2>/dev/null 4>&- |\n"
				   "grep -qF \"rule \\\"jail:$2:memoryuse:log=\" 4>&-; then o=1; fi\n"
				   "echo \"$c $n $o\" >&4\n"
				   "exit \"$c\"\n";

char **pot_argv_start(const char *pot, const char *name, const char *file)
{
	return argv_of("/bin/sh", "-c", start_script, "pot-start", pot, name, file, NULL);
}

char **pot_argv_stop(const char *pot, const char *name)
{
	return argv_of(pot, "stop", "-p", name, NULL);
}

char **pot_argv_destroy(const char *pot, const char *name)
{
	return argv_of(pot, "destroy", "-p", name, "-F", NULL);
}

char **pot_argv_destroy_image(const char *pot, const char *image)
{
	/* Without -F, and without -r, which would take the pots along that are clones of it. */
	return argv_of(pot, "destroy", "-p", image, NULL);
}

char **pot_argv_signal(const char *pot, const char *name, const char *signal_name)
{
	return argv_of(pot, "signal", "-s", signal_name, "-p", name, NULL);
}

char **pot_argv_exec(const char *pot, const char *name, const char *user, const char *const *command,
		     const char *env_script, const char *const *assignments)
{
	char **argv = argv_of(pot, "exec", "-p", name, NULL);

	/* "$0" is the file: nothing of it or of the command is shell text.  The command never stands where pot
	 * would take its first word for an option (-p could lead it into another's pot), or the env that pot
	 * puts before it for a variable. */
	if (env_script) {
		add(&argv, "/bin/sh", "-c", "[ -r \"$0\" ] && . \"$0\"; exec \"$@\"", env_script, NULL);
	} else {
		argv = with_each(argv, "-e", assignments);
		add(&argv, "/bin/sh", "-c", "exec \"$@\"", "sh", NULL);
	}
	if (user && *user)
		add(&argv, POT_RUN, "-u", user, NULL);
	for (; *command; command++)
		add(&argv, *command, NULL);
	return argv;
}

char **pot_argv_exists(const char *pot, const char *name)
{
	return argv_of(pot, "info", "-q", "-p", name, NULL);
}

char **pot_argv_is_running(const char *pot, const char *name)
{
	return argv_of(pot, "info", "-q", "-r", "-p", name, NULL);
}

char **pot_argv_info_env(const char *pot, const char *name)
{
	return argv_of(pot, "info", "-E", "-p", name, NULL);
}

char **pot_argv_set_status(const char *pot, const char *name, const char *status)
{
	return argv_of(pot, "set-status", "-p", name, "-s", status, NULL);
}

char **pot_argv_version(const char *pot)
{
	return argv_of(pot, "version", "-q", NULL);
}

char **pot_argv_config(const char *pot, const char *key)
{
	return argv_of(pot, "config", "-q", "-g", key, NULL);
}

/* ---- Interfaces and mounts ---- */

char **pot_argv_interfaces(void)
{
	return argv_of("ifconfig", "-a", NULL);
}

char **pot_argv_interface_destroy(const char *interface)
{
	return argv_of("ifconfig", interface, "destroy", NULL);
}

char **pot_argv_mounts(void)
{
	return argv_of("mount", "-p", NULL);
}

char **pot_argv_unmount(const char *mount_point)
{
	return argv_of("umount", "-f", mount_point, NULL);
}

/* ---- rctl ---- */

char **pot_argv_rctl_add(const char *name, const char *resource, const char *action, const char *amount)
{
	char **argv = argv_of("rctl", "-a", NULL);

	addf(&argv, "jail:%s:%s:%s=%s", name, resource, action, amount);
	return argv;
}

char **pot_argv_rctl_remove(const char *name)
{
	char **argv = argv_of("rctl", "-r", NULL);

	addf(&argv, "jail:%s", name);
	return argv;
}

/* ---- Signals ---- */

const char *pot_signal_name(int signal)
{
#define NAMED(signal)                                                                                                  \
	{                                                                                                              \
		signal, #signal                                                                                        \
	}
	/* The numbers are those of the system that this runs on, the names those of killall -l. */
	static const struct {
		int number;
		const char *name;
	} names[] = {
		NAMED(SIGHUP),	  NAMED(SIGINT),  NAMED(SIGQUIT),  NAMED(SIGILL),  NAMED(SIGTRAP), NAMED(SIGABRT),
		NAMED(SIGFPE),	  NAMED(SIGKILL), NAMED(SIGBUS),   NAMED(SIGSEGV), NAMED(SIGSYS),  NAMED(SIGPIPE),
		NAMED(SIGALRM),	  NAMED(SIGTERM), NAMED(SIGURG),   NAMED(SIGSTOP), NAMED(SIGTSTP), NAMED(SIGCONT),
		NAMED(SIGCHLD),	  NAMED(SIGTTIN), NAMED(SIGTTOU),  NAMED(SIGIO),   NAMED(SIGXCPU), NAMED(SIGXFSZ),
		NAMED(SIGVTALRM), NAMED(SIGPROF), NAMED(SIGWINCH), NAMED(SIGUSR1), NAMED(SIGUSR2),
#ifdef SIGINFO
		NAMED(SIGINFO),
#endif
#ifdef SIGEMT
		NAMED(SIGEMT),
#endif
	};
#undef NAMED

	for (size_t i = 0; i < NOMAD_ARRAY_LEN(names); i++)
		if (names[i].number == signal)
			return names[i].name;
	return NULL;
}

char *pot_parse_address(const char *output)
{
	static const char key[] = "export _POT_IP=";
	const char *p = output ? strstr(output, key) : NULL;
	char *address =
		p ? nomad_strdupf("%.*s", (int)strcspn(p + sizeof(key) - 1, "\r\n"), p + sizeof(key) - 1) : NULL;
	unsigned char raw[sizeof(struct in6_addr)];

	if (address && inet_pton(AF_INET, address, raw) != 1 && inet_pton(AF_INET6, address, raw) != 1)
		free(NOMAD_TAKE_PTR(address));
	return address;
}

char *pot_first_complaint(const char *output)
{
	static const char mark[] = "###>";

	for (const char *line = output; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
		if (strncmp(line, mark, sizeof(mark) - 1) == 0) {
			line += sizeof(mark) - 1;
			line += strspn(line, " ");
			return nomad_strdupf("%.*s", (int)strcspn(line, "\r\n"), line);
		}
	}
	return NULL;
}

bool pot_find_interface(struct pot_interface *interface, const char *line)
{
	static const char mark[] = "description: ";
	const char *text = line + strspn(line, " \t");

	if (interface->found)
		return true;
	if (text == line)
		snprintf(interface->name, sizeof(interface->name), "%.*s", (int)strcspn(line, ":"), line);
	interface->found = text > line && *interface->name && strncmp(text, mark, sizeof(mark) - 1) == 0 &&
			   strcmp(text + sizeof(mark) - 1, interface->description) == 0;
	return interface->found;
}

char *pot_mount_point_below(const char *line, const char *root)
{
	size_t n = strlen(root);

	if (strstr(line, " zfs "))
		return NULL;
	for (const char *p = strstr(line, root); p; p = strstr(p + n, root))
		if (p > line && p[-1] == ' ')
			return nomad_strdupf("%.*s", (int)strcspn(p, " "), p);
	return NULL;
}
