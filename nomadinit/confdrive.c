/* SPDX-License-Identifier: MPL-2.0 */
/* Volumes are mounted read-only for as long as it takes to copy their small files
 * to memory, so that they may be changed or pulled out while the node runs. */
#include "confdrive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "blockdev.h"
#include "bootenv.h"
#include "cmdline.h"
#include "log.h"
#include "metadata.h"
#include "smbios.h"
#include "userdata.h"
#include "base/tree.h"
#include "util.h"

#define MAX_SOURCES 12
#define MAX_FILES_BYTES (4u << 20)
#define DRIVE_POINT "/run/nomadinit/drive"
#define FW_CFG "/sys/firmware/qemu_fw_cfg/by_name/opt"
#define SMBIOS "/sys/firmware/dmi/entries"

#define KEYS_PROGRAM "/sbin/nomadinit-keys"
#define PUBLIC_KEYS "/etc/nomadinit/config.pub" /* of the verified root */
#define TO_VERIFY "/run/nomadinit/to-verify"
#define VERIFY_MS 10000

struct sources {
	bool is_sealed;
	char *texts[MAX_SOURCES];
	char *names[MAX_SOURCES];
	size_t n;
};

static int add_text(struct sources *s, char *take_text, const char *name)
{
	s->names[s->n] = strdup(name);
	if (!take_text || !s->names[s->n]) {
		free(take_text);
		return -ENOMEM;
	}
	s->texts[s->n++] = take_text;
	return 0;
}

/* Why a sealed image does not take this text, or NULL. */
static const char *why_not(const char *text)
{
	const char *const argv[] = { KEYS_PROGRAM, "verify", PUBLIC_KEYS, TO_VERIFY, NULL };
	int r;

	if (access(PUBLIC_KEYS, F_OK) < 0)
		return "the image has no key for configurations; build it with --config-key";
	r = util_replace_file(TO_VERIFY, text, strlen(text), 0600);
	if (r == 0)
		r = util_run(argv, VERIFY_MS);
	unlink(TO_VERIFY);
	switch (r) {
	case 0:
		return NULL;
	case 1:
		return "none of the image's keys made its signature, or it was changed";
	case 2:
		return "it is not signed; its first line must be " USERDATA_SIGNED "BASE64";
	default:
		return "its signature cannot be verified: '" KEYS_PROGRAM "' failed";
	}
}

/* From outside the image. */
static int add_foreign(struct sources *s, char *take_text, const char *name)
{
	const char *why = s->is_sealed ? why_not(take_text) : NULL;
	char *body;

	if (why) {
		log_error("configuration: %s: refused: %s", name, why);
		free(take_text);
		return 0;
	}
	log_info("configuration: %s%s", name, s->is_sealed ? ", signature verified" : "");
	body = strdup(userdata_body(take_text));
	free(take_text);
	return add_text(s, body, name);
}

static int add_file(struct sources *s, const char *path, const char *name)
{
	char *text = NULL;
	int r = util_read_alloc(path, CONFIG_MAX_BYTES, &text, NULL);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0) {
		log_warn("cannot read '%s': %s", name, strerror(-r));
		return 0;
	}
	return add_foreign(s, text, name);
}

static int add_image(struct sources *s)
{
	static const char name[] = "the image's init.json";
	char *text = NULL;
	int r = util_read_alloc("/etc/nomadinit/init.json", CONFIG_MAX_BYTES, &text, NULL);

	if (r < 0) {
		log_warn("cannot read %s: %s", name, strerror(-r));
		return 0;
	}
	log_info("configuration: %s", name);
	return add_text(s, text, name);
}

static void copy_files(const char *from, const char *to, int depth, size_t *left)
{
	char source[512], target[512], *data;
	struct dirent *d;
	struct stat st;
	size_t len;
	DIR *dir = opendir(from);

	nomad__make_dirs(to, 0700);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.' ||
		    (size_t)snprintf(source, sizeof(source), "%s/%s", from, d->d_name) >= sizeof(source) ||
		    (size_t)snprintf(target, sizeof(target), "%s/%s", to, d->d_name) >= sizeof(target) ||
		    lstat(source, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && depth < 3) {
			copy_files(source, target, depth + 1, left);
		} else if (S_ISREG(st.st_mode)) {
			if ((size_t)st.st_size > *left || util_read_alloc(source, *left, &data, &len) < 0) {
				log_warn("'%s' is too large for a configuration or cannot be read; it is left out",
					 d->d_name);
				continue;
			}
			*left -= len;
			if (util_replace_file(target, data, len, 0600) < 0)
				log_warn("cannot copy '%s'", d->d_name);
			free(data);
		}
	}
	if (dir)
		closedir(dir);
}

static int add_esp(struct sources *s, size_t *left)
{
	int r = bootenv_mount_esp(0);

	if (r < 0) {
		if (r != -ENODEV)
			log_warn("cannot mount the boot partition: %s", strerror(-r));
		return 0;
	}
	r = add_file(s, ESP_POINT "/config/init.json", "config/init.json of the boot partition");
	if (!s->is_sealed)
		copy_files(ESP_POINT "/config", CONFDRIVE_FILES, 0, left);
	bootenv_unmount_esp();
	return r;
}

/* What the cloud said (metadata.c): names and networks first, as everything may override them; user-data last, as it
 * was written for this machine. */
static int add_metadata(struct sources *s, bool want_user_data)
{
	char *config, *user_data, provider[64], name[96];

	metadata_read(METADATA_RESULT, &config, &user_data, provider);
	snprintf(name, sizeof(name), want_user_data ? "user-data of '%s'" : "metadata of '%s'", provider);
	free(want_user_data ? config : user_data);
	if (want_user_data ? !user_data : !config)
		return 0;
	if (want_user_data)
		return add_foreign(s, user_data, name);
	log_info("configuration: %s", name);
	return add_text(s, config, name);
}

static int add_smbios(struct sources *s)
{
	char *text = smbios_load(SMBIOS);

	return text ? add_foreign(s, text, "SMBIOS type 11") : 0;
}

static int add_drive(struct sources *s, size_t *left)
{
	static const char *const labels[] = { "NOMADINIT", "cidata", "config-2" };
	char name[96];
	struct blockdev b;
	size_t i;
	int r = 0;

	for (i = 0; i < NOMAD_ARRAY_LEN(labels) && r == 0; i++) {
		r = blockdev_find(labels[i], 0, &b);
		if (r == -ENOTUNIQ)
			log_warn("more than one volume is labelled '%s': none is used", labels[i]);
		if (r < 0) {
			r = 0;
			continue;
		}
		nomad__make_dirs(DRIVE_POINT, 0700);
		if (mount(b.path, DRIVE_POINT, "iso9660", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0 &&
		    mount(b.path, DRIVE_POINT, "vfat", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) {
			log_warn("cannot mount the config drive '%s': %s", b.path, strerror(errno));
			continue;
		}
		snprintf(name, sizeof(name), "init.json of the config drive '%s' (%s)", labels[i], b.path);
		r = add_file(s, DRIVE_POINT "/init.json", name);
		if (!s->is_sealed)
			copy_files(DRIVE_POINT, CONFDRIVE_FILES, 0, left);
		umount2(DRIVE_POINT, MNT_DETACH);
	}
	return r;
}

/* Set root.a.b.c, making the objects on the way. */
static int set_path(json_t *root, const char *path, json_t *take_value)
{
	char part[64];
	const char *dot;
	json_t *next;

	while ((dot = strchr(path, '.'))) {
		if (dot == path || (size_t)(dot - path) >= sizeof(part))
			break;
		memcpy(part, path, (size_t)(dot - path));
		part[dot - path] = '\0';
		next = json_object_get(root, part);
		if (!json_is_object(next)) {
			next = json_object();
			if (json_object_set_new(root, part, next) < 0)
				break;
		}
		root = next;
		path = dot + 1;
	}
	if (dot || !*path) {
		json_decref(take_value);
		return -EINVAL;
	}
	return json_object_set_new(root, path, take_value) < 0 ? -ENOMEM : 0;
}

char *confdrive_from_cmdline(void)
{
	const char *value, *key;
	json_t *root = json_object(), *v;
	size_t at = 0;
	char *text;

	value = cmdline_get("hostname");
	if (value && *value)
		set_path(root, "nomadinit.hostname", json_string(value));
	while ((value = cmdline_next("set.", &at, &key))) {
		/* What reads as JSON is JSON, anything else is a string. */
		v = json_loads(value, JSON_DECODE_ANY, NULL);
		if (!v)
			v = json_string(value);
		if (set_path(root, key, v) < 0)
			log_warn("kernel argument 'nomadinit.set.%s' is not understood", key);
	}
	/* Every process may read the arguments. */
	if (json_object_del(json_object_get(root, "nomadinit"), "cluster") == 0)
		log_warn("kernel arguments: nomadinit.cluster: a secret is not taken from there");
	text = json_dumps(root, 0);
	json_decref(root);
	return text;
}

int confdrive_load(struct config *ret, bool in_container, char error[CONFIG_ERROR_SIZE])
{
	struct sources s = { .is_sealed = cmdline_is_on("sealed") };
	size_t left = MAX_FILES_BYTES, i;
	int r;

	error[0] = '\0';
	r = add_image(&s);
	/* Names and networks are as good as DHCP's: a sealed image takes them, too. */
	if (r == 0)
		r = add_metadata(&s, false);
	/* Without a key nothing of it could be taken. */
	if (r == 0 && !in_container && (!s.is_sealed || access(PUBLIC_KEYS, F_OK) == 0)) {
		r = add_esp(&s, &left);
		if (r == 0)
			r = add_drive(&s, &left);
		if (r == 0)
			r = add_file(&s, FW_CFG "/nomadinit/init.json/raw", "fw_cfg opt/nomadinit/init.json");
		if (r == 0)
			r = add_file(&s, FW_CFG "/io.systemd.credentials/nomadinit.init.json/raw",
				     "fw_cfg opt/io.systemd.credentials/nomadinit.init.json");
		if (r == 0)
			r = add_smbios(&s);
	}
	if (r == 0)
		r = add_metadata(&s, true);
	if (r == 0)
		r = add_text(&s, confdrive_from_cmdline(), "kernel arguments");
	if (r == 0)
		r = config_parse((const char *const *)s.texts, (const char *const *)s.names, s.n, ret, error);
	else
		snprintf(error, CONFIG_ERROR_SIZE, "out of memory");
	for (i = 0; i < s.n; i++) {
		free(s.texts[i]);
		free(s.names[i]);
	}
	return r;
}
