/* SPDX-License-Identifier: MPL-2.0
 *
 * A look at the host: what the driver finds, sorted and in stable words, so
 * that nothing is sent where nothing changed. */
#include "core/fingerprint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/plugin.h"
#include "core/policy.h"
#include "os/host.h"

static void attribute_done(struct nomad__attribute *attribute)
{
	free(attribute->key);
	free(attribute->string);
	free(attribute->unit);
}

static void add(struct nomad_fingerprint *fp, const char *key, struct nomad__attribute attribute)
{
	struct nomad__attribute *grown = reallocarray(fp->attributes, fp->n_attributes + 1, sizeof(*grown));

	if (grown)
		fp->attributes = grown;
	attribute.key = key ? nomad_strdupf("%s.%s", fp->prefix, key) : strdup(fp->prefix);
	if (!grown || !attribute.key || (attribute.type == NOMAD__ATTR_STRING && !attribute.string)) {
		attribute_done(&attribute);
		fp->failed = true;
		return;
	}
	for (size_t i = 0; i < fp->n_attributes; i++)
		if (strcmp(grown[i].key, attribute.key) == 0) { /* the last word counts */
			attribute_done(&grown[i]);
			grown[i] = attribute;
			return;
		}
	grown[fp->n_attributes++] = attribute;
}

void nomad_fp_string(struct nomad_fingerprint *fp, const char *key, const char *value)
{
	add(fp, key, (struct nomad__attribute){ .type = NOMAD__ATTR_STRING, .string = strdup(value ? value : "") });
}

void nomad_fp_bool(struct nomad_fingerprint *fp, const char *key, bool value)
{
	add(fp, key, (struct nomad__attribute){ .type = NOMAD__ATTR_BOOL, .boolean = value });
}

void nomad_fp_int(struct nomad_fingerprint *fp, const char *key, int64_t value, const char *unit)
{
	add(fp, key,
	    (struct nomad__attribute){ .type = NOMAD__ATTR_INT, .integer = value, .unit = unit ? strdup(unit) : NULL });
}

bool nomad_fp_check(struct nomad_fingerprint *fp, const char *what, bool ok, enum nomad_health otherwise,
		    const char *finding, const char *remedy)
{
	struct nomad__check *grown = reallocarray(fp->checks, fp->n_checks + 1, sizeof(*grown)), *check;

	if (!grown) {
		fp->failed = true;
		return ok;
	}
	fp->checks = grown;
	check = &grown[fp->n_checks++];
	*check = (struct nomad__check){
		.what = strdup(what),
		.finding = strdup(finding ? finding : ""),
		.remedy = strdup(remedy ? remedy : ""),
		.ok = ok,
		.otherwise = otherwise,
	};
	if (!check->what || !check->finding || !check->remedy) {
		fp->failed = true;
	} else if (!ok && otherwise < fp->health) {
		fp->health = otherwise;
		free(fp->description);
		fp->description = *check->remedy ? nomad_strdupf("%s; %s", check->finding, check->remedy)
						 : strdup(check->finding);
	}
	return ok;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct nomad__attribute *)a)->key, ((const struct nomad__attribute *)b)->key);
}

/* What is the same for all drivers.  A remote driver's tasks have nothing of this host. */
static void add_shared(const struct nomad_plugin *plugin, struct nomad_fingerprint *fp)
{
	NOMAD_AUTO_FREE char *dir = strdup(nomad_plugin_state_dir(plugin));
	const char *mode = nomad__policy_mode(plugin);
	struct nomad__host host;

	if (mode)
		nomad_fp_string(fp, "policy", mode);
	if (plugin->driver->capabilities & NOMAD_ALL_REMOTE)
		return;
	/* It may not be there before the first task. */
	while (dir && access(dir, F_OK) < 0 && strrchr(dir, '/') > dir)
		*strrchr(dir, '/') = '\0';
	nomad__host_look(dir ? dir : "/", &host);
	if (*host.storage)
		nomad_fp_string(fp, "storage", host.storage);
	if (!host.cgroup)
		return;
	nomad_fp_string(fp, "cgroup", host.cgroup);
	nomad_fp_bool(fp, "systemd", host.systemd);
	nomad_fp_bool(fp, "idmapped_mounts", host.idmapped_mounts);
	nomad_fp_bool(fp, "user_namespaces", host.user_namespaces);
	nomad_fp_bool(fp, "seccomp", host.seccomp);
}

int nomad__fingerprint_look(struct nomad_plugin *plugin, struct nomad_fingerprint **ret)
{
	const struct nomad_driver *driver = plugin->driver;
	struct nomad_fingerprint *fp = calloc(1, sizeof(*fp));

	if (!fp)
		return -ENOMEM;
	fp->health = NOMAD_HEALTHY;
	fp->prefix = nomad_strdupf("driver.%s", driver->name);
	fp->description = strdup("Healthy");
	if (fp->prefix)
		driver->fingerprint(plugin, fp);
	if (fp->prefix && fp->health != NOMAD_UNDETECTED) {
		nomad_fp_bool(fp, NULL, true);
		add_shared(plugin, fp);
	}
	if (!fp->prefix || !fp->description || fp->failed) {
		nomad__fingerprint_free(fp);
		return -ENOMEM;
	}
	if (fp->n_attributes)
		qsort(fp->attributes, fp->n_attributes, sizeof(*fp->attributes), by_key);
	*ret = fp;
	return 0;
}

void nomad__fingerprint_free(struct nomad_fingerprint *fp)
{
	if (!fp)
		return;
	for (size_t i = 0; i < fp->n_attributes; i++)
		attribute_done(&fp->attributes[i]);
	for (size_t i = 0; i < fp->n_checks; i++) {
		free(fp->checks[i].what);
		free(fp->checks[i].finding);
		free(fp->checks[i].remedy);
	}
	free(fp->attributes);
	free(fp->checks);
	free(fp->description);
	free(fp->prefix);
	free(fp);
}

static bool same(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

bool nomad__fingerprint_equal(const struct nomad_fingerprint *a, const struct nomad_fingerprint *b)
{
	if (a->health != b->health || !same(a->description, b->description) || a->n_attributes != b->n_attributes)
		return false;
	for (size_t i = 0; i < a->n_attributes; i++) {
		const struct nomad__attribute *x = &a->attributes[i], *y = &b->attributes[i];

		if (!same(x->key, y->key) || x->type != y->type || !same(x->string, y->string) ||
		    x->boolean != y->boolean || x->integer != y->integer || !same(x->unit, y->unit))
			return false;
	}
	return true;
}
