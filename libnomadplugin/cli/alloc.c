/* SPDX-License-Identifier: MPL-2.0
 *
 * An allocation without an agent; values that an agent would know are made up. */
#include "cli/alloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tree.h"

static char *random_uuid(void)
{
	unsigned char b[16];

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		return NULL;
	b[6] = (b[6] & 0x0f) | 0x40;
	b[8] = (b[8] & 0x3f) | 0x80;
	return nomad_strdupf("%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
			     b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

static int make_dir(const char *base, const char *name, mode_t mode, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", base, name);
	int r = path ? nomad__make_dirs(path, mode) : -ENOMEM;

	if (r >= 0 && chmod(path, mode) < 0) /* despite the umask */
		r = -errno;
	return r < 0 ? nomad_error_errno(err, -r, "make directory '%s' in '%s'", name, base) : 0;
}

static int make_fifo(const char *path, int *ret_fd, struct nomad_error **err)
{
	if (mkfifo(path, 0600) < 0)
		return nomad_error_errno(err, errno, "make log pipe '%s'", path);
	*ret_fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return *ret_fd < 0 ? nomad_error_errno(err, errno, "open log pipe '%s'", path) : 0;
}

/* Makes alloc/ a link to the caller's directory.  *ret_path is its real path: log pipes behind a link are refused. */
static int link_shared(const char *alloc_dir, const char *shared, char **ret_path, struct nomad_error **err)
{
	NOMAD_AUTO_FREE char *link = nomad_strdupf("%s/alloc", alloc_dir);
	int r = link ? nomad__make_dirs(alloc_dir, 0755) : -ENOMEM;

	if (r < 0)
		return nomad_error_errno(err, -r, "make directory '%s'", alloc_dir);
	*ret_path = realpath(shared, NULL);
	if (!*ret_path || symlink(*ret_path, link) < 0)
		return nomad_error_errno(err, errno, "use directory '%s'", shared);
	return 0;
}

static int make_dirs(struct nomad__alloc *alloc, const char *given, struct nomad_error **err)
{
	static const struct {
		const char *name;
		mode_t mode;
	} shared[] = { { "alloc", 0777 }, { "alloc/logs", 0777 }, { "alloc/tmp", 0777 }, { "alloc/data", 0777 } },
	  own[] = { { "", 0777 }, { "local", 0777 }, { "tmp", 01777 }, { "secrets", 0777 }, { "private", 0700 } };
	struct nomad_task_info *info = &alloc->info;
	NOMAD_AUTO_FREE char *task_dir = nomad_strdupf("%s/%s", info->alloc_dir, info->name), *true_path = NULL;
	int r = task_dir ? 0 : nomad_error_errno(err, ENOMEM, "make the allocation");

	if (r >= 0 && given)
		r = link_shared(info->alloc_dir, given, &true_path, err);
	else if (r >= 0)
		true_path = nomad_strdupf("%s/alloc", info->alloc_dir);
	for (size_t i = given ? 1 : 0; r >= 0 && i < NOMAD_ARRAY_LEN(shared); i++)
		r = make_dir(info->alloc_dir, shared[i].name, shared[i].mode, err);
	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(own); i++)
		r = make_dir(task_dir, own[i].name, own[i].mode, err);
	if (r < 0)
		return r;
	if (true_path) {
		info->stdout_path = nomad_strdupf("%s/logs/.%s.%s.stdout.fifo", true_path, info->name,
						  given ? info->alloc_id : "run");
		info->stderr_path = nomad_strdupf("%s/logs/.%s.%s.stderr.fifo", true_path, info->name,
						  given ? info->alloc_id : "run");
	}
	if (!info->stdout_path || !info->stderr_path)
		return nomad_error_errno(err, ENOMEM, "make the allocation");
	alloc->fifos[0] = strdup(info->stdout_path);
	alloc->fifos[1] = strdup(info->stderr_path);
	r = make_fifo(info->stdout_path, &alloc->stdout_fd, err);
	return r < 0 ? r : make_fifo(info->stderr_path, &alloc->stderr_fd, err);
}

/* ---- Resources and ports ---- */

/* A port that is free now. */
static int free_port(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY) };
	socklen_t size = sizeof(any);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), port = -1;

	if (fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 &&
	    getsockname(fd, (struct sockaddr *)&any, &size) == 0)
		port = ntohs(any.sin_port);
	if (fd >= 0)
		close(fd);
	return port;
}

static bool has_port(const struct nomad_task_info *info, int value)
{
	for (size_t i = 0; i < info->resources.n_ports; i++)
		if (info->resources.ports[i].value == value)
			return true;
	return false;
}

/* Without a client's configuration that names host networks, only an address is useful. */
static const char *host_ip(const json_t *port)
{
	const char *network = nomad__job_string(port, "HostNetwork", "");
	struct in6_addr in;

	return inet_pton(strchr(network, ':') ? AF_INET6 : AF_INET, network, &in) == 1 ? network : "127.0.0.1";
}

static int add_ports(struct nomad_task_info *info, const json_t *ports)
{
	const json_t *port;
	size_t i;

	json_array_foreach((json_t *)ports, i, port)
	{
		const char *label = nomad__job_string(port, "Label", "");
		int value = (int)json_integer_value(json_object_get(port, "Value"));
		int to = (int)json_integer_value(json_object_get(port, "To"));
		struct nomad_port *grown;

		if (nomad_port_find(&info->resources, label))
			continue;
		grown = reallocarray(info->resources.ports, info->resources.n_ports + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		info->resources.ports = grown;
		for (int attempt = 0; !value && attempt < 100; attempt++) {
			value = free_port();
			if (value < 0)
				return -EADDRINUSE;
			if (has_port(info, value))
				value = 0;
		}
		grown += info->resources.n_ports++;
		*grown = (struct nomad_port){
			.label = strdup(label),
			.value = value,
			.to = to < 0 ? 0 : to,
			.host_ip = strdup(host_ip(port)),
		};
		if (!grown->label || !grown->host_ip)
			return -ENOMEM;
	}
	return 0;
}

static int add_networks(struct nomad_task_info *info, const json_t *networks)
{
	const json_t *network;
	size_t i;
	int r = 0;

	json_array_foreach((json_t *)networks, i, network)
	{
		if (r >= 0)
			r = add_ports(info, json_object_get(network, "ReservedPorts"));
		if (r >= 0)
			r = add_ports(info, json_object_get(network, "DynamicPorts"));
	}
	return r;
}

static int set_resources(struct nomad_task_info *info, const struct nomad__job_task *task)
{
	const json_t *resources = json_object_get(task->json, "Resources");
	int64_t cpu = json_integer_value(json_object_get(resources, "CPU"));
	int64_t memory = json_integer_value(json_object_get(resources, "MemoryMB"));
	int64_t cores = json_integer_value(json_object_get(resources, "Cores"));
	int64_t most = json_integer_value(json_object_get(resources, "MemoryMaxMB"));
	int r;

	info->resources.cpu_shares = cpu > 0 ? cpu : 100; /* Nomad's defaults */
	if (cores > 0) {
		info->resources.cpuset_cpus = cores > 1 ? nomad_strdupf("0-%lld", (long long)cores - 1) : strdup("0");
		if (!info->resources.cpuset_cpus)
			return -ENOMEM;
	}
	/* There is no agent to measure the node: a core has 1,000 MHz. */
	info->resources.percent_ticks =
		(double)info->resources.cpu_shares / 1000 / (double)sysconf(_SC_NPROCESSORS_ONLN);
	info->resources.memory_mb = memory > 0 ? memory : 300;
	info->resources.memory_max_mb = most;
	info->resources.memory_limit_bytes = (most > info->resources.memory_mb ? most : info->resources.memory_mb)
					     << 20;
	r = add_networks(info, json_object_get(task->group_json, "Networks"));
	return r < 0 ? r : add_networks(info, json_object_get(resources, "Networks"));
}

/* ---- Environment ---- */

static int set_env(struct nomad_map *env, const char *key, const char *fmt, ...) NOMAD_PRINTF(3, 4);
static int set_env(struct nomad_map *env, const char *key, const char *fmt, ...)
{
	char *value;
	va_list args;
	int r;

	va_start(args, fmt);
	r = vasprintf(&value, fmt, args);
	va_end(args);
	if (r < 0)
		return -ENOMEM;
	r = nomad_map_set(env, key, value);
	free(value);
	return r;
}

/* Replaces ${NAME} and ${env["NAME"]} where the environment has NAME. */
static char *interpolate(const struct nomad_map *env, const char *text)
{
	size_t size = 0;
	char *out = NULL;
	FILE *f = open_memstream(&out, &size);

	if (!f)
		return NULL;
	for (const char *p = text; *p;) {
		const char *end = p[0] == '$' && p[1] == '{' ? strchr(p, '}') : NULL;
		NOMAD_AUTO_FREE char *name = end ? strndup(p + 2, (size_t)(end - p - 2)) : NULL;
		const char *value = NULL;
		size_t n = name ? strlen(name) : 0;

		if (name && strncmp(name, "env[\"", 5) == 0 && n > 7 && strcmp(name + n - 2, "\"]") == 0) {
			name[n - 2] = 0;
			value = nomad_map_get(env, name + 5);
		} else if (name) {
			value = nomad_map_get(env, name);
		}
		if (value) {
			fputs(value, f);
			p = end + 1;
		} else {
			fputc(*p++, f);
		}
	}
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}

static json_t *interpolate_json(const struct nomad_map *env, const json_t *value)
{
	const char *key;
	json_t *copy, *member;
	size_t i;

	if (json_is_string(value)) {
		NOMAD_AUTO_FREE char *text = interpolate(env, json_string_value(value));

		return text ? json_string(text) : NULL;
	}
	if (json_is_array(value)) {
		copy = json_array();
		json_array_foreach((json_t *)value, i, member)
			json_array_append_new(copy, interpolate_json(env, member));
		return copy;
	}
	if (json_is_object(value)) {
		copy = json_object();
		json_object_foreach((json_t *)value, key, member)
			json_object_set_new(copy, key, interpolate_json(env, member));
		return copy;
	}
	return json_deep_copy(value);
}

/* Like Nomad: characters that are invalid in a name become underscores. */
static void clean_name(char *name)
{
	for (; *name; name++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *name))
			*name = '_';
}

static int add_port(struct nomad_map *env, const struct nomad_port *port)
{
	static const char *const names[] = { "NOMAD_PORT_", "NOMAD_HOST_PORT_", "NOMAD_IP_", "NOMAD_ADDR_" };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < NOMAD_ARRAY_LEN(names); i++) {
		NOMAD_AUTO_FREE char *name = nomad_strdupf("%s%s", names[i], port->label);
		int inner = port->to ? port->to : port->value;

		if (!name)
			return -ENOMEM;
		clean_name(name);
		r = i == 0   ? set_env(env, name, "%d", inner)
		    : i == 1 ? set_env(env, name, "%d", port->value)
		    : i == 2 ? set_env(env, name, "%s", port->host_ip)
			     : set_env(env, name, strchr(port->host_ip, ':') ? "[%s]:%d" : "%s:%d", port->host_ip,
				       port->value);
	}
	return r;
}

static int add_members(struct nomad_map *env, const json_t *object, const char *prefix)
{
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)object, key, value)
	{
		NOMAD_AUTO_FREE char *name = nomad_strdupf("%s%s", prefix, key);
		NOMAD_AUTO_FREE char *text = json_is_string(value) ? interpolate(env, json_string_value(value))
								   : json_dumps(value, JSON_ENCODE_ANY);

		if (name && *prefix)
			clean_name(name);
		r = r < 0 ? r : name && text ? nomad_map_set(env, name, text) : -ENOMEM;
	}
	return r;
}

static int make_env(const struct nomad_driver *driver, const struct nomad__job *job, const struct nomad__job_task *task,
		    struct nomad_task_info *info)
{
	bool inside = driver->fs_isolation == NOMAD_FS_IMAGE || driver->fs_isolation == NOMAD_FS_CHROOT;
	struct nomad_map *env = &info->env;
	const char *path = getenv("PATH"), *home = getenv("HOME");
	int r = 0;

	if (!inside && path)
		r = nomad_map_set(env, "PATH", path);
	if (!inside && home && r >= 0)
		r = nomad_map_set(env, "HOME", home);
#define SET(...) (r = r < 0 ? r : set_env(env, __VA_ARGS__))
	SET("NOMAD_ALLOC_DIR", "%s%s", inside ? "" : info->alloc_dir, "/alloc");
	SET("NOMAD_TASK_DIR", "%s%s%s/local", inside ? "" : info->alloc_dir, inside ? "" : "/",
	    inside ? "" : info->name);
	SET("NOMAD_SECRETS_DIR", "%s%s%s/secrets", inside ? "" : info->alloc_dir, inside ? "" : "/",
	    inside ? "" : info->name);
	SET("NOMAD_ALLOC_ID", "%s", info->alloc_id);
	SET("NOMAD_SHORT_ALLOC_ID", "%.8s", info->alloc_id);
	SET("NOMAD_ALLOC_INDEX", "0");
	SET("NOMAD_ALLOC_NAME", "%s.%s[0]", job->id, task->group);
	SET("NOMAD_TASK_NAME", "%s", info->name);
	SET("NOMAD_GROUP_NAME", "%s", task->group);
	SET("NOMAD_JOB_ID", "%s", job->id);
	SET("NOMAD_JOB_NAME", "%s", job->name);
	SET("NOMAD_NAMESPACE", "%s", job->namespace_name);
	SET("NOMAD_REGION", "%s", job->region);
	SET("NOMAD_DC", "%s", job->datacenter ? job->datacenter : "dc1");
	SET("NOMAD_CPU_LIMIT", "%lld", (long long)info->resources.cpu_shares);
	SET("NOMAD_MEMORY_LIMIT", "%lld", (long long)info->resources.memory_mb);
#undef SET
	for (size_t i = 0; r >= 0 && i < info->resources.n_ports; i++)
		r = add_port(env, &info->resources.ports[i]);
	if (r >= 0)
		r = add_members(env, json_object_get(job->json, "Meta"), "NOMAD_META_");
	if (r >= 0)
		r = add_members(env, json_object_get(task->group_json, "Meta"), "NOMAD_META_");
	if (r >= 0)
		r = add_members(env, json_object_get(task->json, "Meta"), "NOMAD_META_");
	if (r >= 0)
		r = add_members(env, json_object_get(task->json, "Env"), "");
	return r;
}

/* ---- All of it ---- */

int nomad__alloc_new(const struct nomad_driver *driver, const struct nomad__job *job,
		     const struct nomad__job_task *task, const char *shared, struct nomad__alloc *ret,
		     struct nomad_error **err)
{
	const char *tmp = getenv("TMPDIR"), *user = nomad__job_string(task->json, "User", "");
	struct nomad__alloc alloc = { .stdout_fd = -1, .stderr_fd = -1 };
	struct nomad_task_info *info = &alloc.info;
	const json_t *timeout = json_object_get(task->json, "KillTimeout");
	int r;

	alloc.root = nomad_strdupf("%s/nomad-run-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
	if (!alloc.root || !mkdtemp(alloc.root)) {
		r = nomad_error_errno(err, alloc.root ? errno : ENOMEM, "make a directory for the allocation");
		free(NOMAD_TAKE_PTR(alloc.root));
		goto fail;
	}
	(void)chmod(alloc.root, 0755);
	info->alloc_id = random_uuid();
	info->name = strdup(task->name);
	info->id = info->alloc_id && info->name
			   ? nomad_strdupf("%s/%s/%.8s", info->alloc_id, info->name, info->alloc_id + 24)
			   : NULL;
	info->alloc_dir = info->alloc_id ? nomad_strdupf("%s/%s", alloc.root, info->alloc_id) : NULL;
	info->task_group_name = strdup(task->group);
	info->job_id = strdup(job->id);
	info->job_name = strdup(job->name);
	info->namespace_name = strdup(job->namespace_name);
	info->node_id = strdup("run");
	info->node_name = strdup("run");
	info->user = *user ? strdup(user) : NULL;
	r = info->id && info->alloc_dir ? set_resources(info, task) : -ENOMEM;
	if (r >= 0)
		r = make_env(driver, job, task, info);
	if (r >= 0) {
		alloc.config = interpolate_json(&info->env, task->config);
		r = alloc.config ? 0 : -ENOMEM;
	}
	if (r < 0)
		nomad_error_errno(err, -r, "make the allocation");
	else
		r = make_dirs(&alloc, shared, err);
	if (r < 0)
		goto fail;
	alloc.kill_timeout_ns = json_is_integer(timeout) && json_integer_value(timeout) > 0
					? json_integer_value(timeout)
					: INT64_C(5000000000);
	alloc.kill_signal = nomad__job_string(task->json, "KillSignal", "");
	*ret = alloc;
	return 0;
fail:
	nomad__alloc_done(&alloc);
	return r;
}

void nomad__alloc_done(struct nomad__alloc *alloc)
{
	if (alloc->stdout_fd >= 0)
		close(alloc->stdout_fd);
	if (alloc->stderr_fd >= 0)
		close(alloc->stderr_fd);
	/* alloc/ may be the caller's, so these are removed one by one. */
	for (int i = 0; i < 2; i++) {
		if (alloc->fifos[i])
			(void)unlink(alloc->fifos[i]);
		free(alloc->fifos[i]);
	}
	nomad__task_info_done(&alloc->info);
	json_decref(alloc->config);
	if (alloc->root)
		(void)nomad__remove_tree(alloc->root);
	free(alloc->root);
	*alloc = (struct nomad__alloc){ .stdout_fd = -1, .stderr_fd = -1 };
}
