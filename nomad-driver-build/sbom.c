/* SPDX-License-Identifier: MPL-2.0
 *
 * A software bill of materials (SPDX 2.3, JSON): the packages that the
 * databases of dpkg and apk in an image name.  What else is in the image is
 * not looked for, and the document says so.
 *
 * The files are a stranger's: sizes are bounded, and no link leads out of
 * the image. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sbom.h"

enum { DATABASE_MAX = 64 << 20, PACKAGES_MAX = 100000, PART_SIZE = 1024 };
#define NOTHING "NOASSERTION"

struct package {
	const char *name, *version, *arch, *source;
	bool installed;
};

/* Bytes that are not ASCII become '?': there are hardly any, and JSON takes UTF-8 only. */
static json_t *text_of(const char *text)
{
	NOMAD_AUTO_FREE char *copy = strdup(text);

	for (char *p = copy; p && *p; p++)
		if ((unsigned char)*p >= 127 || (unsigned char)*p < ' ')
			*p = '?';
	return copy ? json_string(copy) : NULL;
}

/* A part of a package URL, cut if it is long. */
static const char *encoded(const char *text, char *to)
{
	size_t used = 0;

	for (; *text && used < PART_SIZE - 4; text++) {
		unsigned char c = (unsigned char)*text;

		if (isalnum(c) || strchr(".-_~", c))
			to[used++] = (char)c;
		else
			used += (size_t)sprintf(to + used, "%%%02X", c);
	}
	to[used] = 0;
	return to;
}

static json_t *reference_of(const struct build_sbom *sbom, const char *type, const struct package *p)
{
	char name[PART_SIZE], version[PART_SIZE], arch[PART_SIZE], distro[PART_SIZE];
	const char *vendor = *sbom->vendor ? sbom->vendor : strcmp(type, "apk") ? "debian" : "alpine";

	return json_pack("[{s:s,s:s,s:o}]", "referenceCategory", "PACKAGE-MANAGER", "referenceType", "purl",
			 "referenceLocator",
			 json_sprintf("pkg:%s/%s/%s@%s%s%s%s%s", type, vendor, encoded(p->name, name),
				      encoded(p->version, version), p->arch ? "?arch=" : "",
				      p->arch ? encoded(p->arch, arch) : "",
				      !*sbom->distribution ? ""
				      : p->arch		   ? "&distro="
							   : "?distro=",
				      encoded(sbom->distribution, distro)));
}

static int add_package(struct build_sbom *sbom, const char *type, const struct package *p)
{
	json_t *package;

	if (!p->name || !p->version || !p->installed || json_array_size(sbom->packages) >= PACKAGES_MAX)
		return 0;
	package = json_pack("{s:o,s:o,s:o,s:s,s:b,s:s,s:s,s:s,s:o}", "SPDXID",
			    json_sprintf("SPDXRef-Package-%zu", json_array_size(sbom->packages)), "name",
			    text_of(p->name), "versionInfo", text_of(p->version), "downloadLocation", NOTHING,
			    "filesAnalyzed", false, "licenseConcluded", NOTHING, "licenseDeclared", NOTHING,
			    "copyrightText", NOTHING, "externalRefs", reference_of(sbom, type, p));
	if (p->source && package)
		json_object_set_new(package, "sourceInfo", text_of(p->source));
	return package && json_array_append_new(sbom->packages, package) == 0 ? 0 : -ENOMEM;
}

/* ---- Databases ---- */

/* Paragraphs of lines; `take` finds the values of a package in them. */
static int add_database(struct build_sbom *sbom, const char *type, char *text,
			void (*take)(struct package *p, char *line))
{
	struct package p = { .installed = true };
	char *next, *line;
	int r = 0;

	for (line = text; line && r >= 0; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		take(&p, line);
		if (*line && next)
			continue;
		r = add_package(sbom, type, &p);
		p = (struct package){ .installed = true };
	}
	return r;
}

/* "Key: value"; values of several lines go on with a blank. */
static void take_dpkg(struct package *p, char *line)
{
	if (strncmp(line, "Package: ", 9) == 0)
		p->name = line + 9;
	else if (strncmp(line, "Version: ", 9) == 0)
		p->version = line + 9;
	else if (strncmp(line, "Architecture: ", 14) == 0)
		p->arch = line + 14;
	else if (strncmp(line, "Source: ", 8) == 0)
		p->source = line + 8;
	else if (strncmp(line, "Status: ", 8) == 0)
		p->installed = strstr(line, " installed");
}

int build_sbom_add_dpkg(struct build_sbom *sbom, char *text)
{
	return add_database(sbom, "deb", text, take_dpkg);
}

/* "P:name", "V:version", "A:arch", "o:origin" */
static void take_apk(struct package *p, char *line)
{
	const char **to = *line == 'P'	 ? &p->name
			  : *line == 'V' ? &p->version
			  : *line == 'A' ? &p->arch
			  : *line == 'o' ? &p->source
					 : NULL;

	if (to && line[1] == ':')
		*to = line + 2;
}

int build_sbom_add_apk(struct build_sbom *sbom, char *text)
{
	return add_database(sbom, "apk", text, take_apk);
}

/* ---- The image ---- */

static int open_in(int root, const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)(flags | O_CLOEXEC),
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

	return (int)syscall(SYS_openat2, root, path, &how, sizeof(how));
}

/* malloc()ed; NULL if there is no such file. */
static char *read_in(int root, const char *path)
{
	NOMAD_AUTO_FD int fd = open_in(root, path, O_RDONLY | O_NONBLOCK);
	size_t used = 0;
	struct stat st;
	ssize_t n = 1;
	char *text;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > DATABASE_MAX)
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	while (text && used < (size_t)st.st_size && (n = read(fd, text + used, (size_t)st.st_size - used)) > 0)
		used += (size_t)n;
	if (text)
		text[used] = 0;
	return text;
}

static void take_value(const char *text, const char *key, char *to, size_t size)
{
	const char *line = strstr(text, key);
	size_t n = 0;

	for (line = line ? line + strlen(key) : ""; *line && *line != '\n' && n + 1 < size; line++)
		if (isalnum((unsigned char)*line) || strchr("._-", *line))
			to[n++] = *line;
	to[n] = 0;
}

static void find_distribution(int root, struct build_sbom *sbom)
{
	NOMAD_AUTO_FREE char *text = read_in(root, "etc/os-release");
	NOMAD_AUTO_FREE char *lines = text ? nomad_strdupf("\n%s", text) : NULL;
	char version[24];

	if (!lines)
		return;
	take_value(lines, "\nID=", sbom->vendor, sizeof(sbom->vendor));
	take_value(lines, "\nVERSION_ID=", version, sizeof(version));
	if (*sbom->vendor)
		snprintf(sbom->distribution, sizeof(sbom->distribution), "%s%s%s", sbom->vendor, *version ? "-" : "",
			 version);
}

static bool is_there(int root, const char *path)
{
	NOMAD_AUTO_FD int fd = open_in(root, path, O_PATH);

	return fd >= 0;
}

/* Images without a package manager have a file for each package. */
static int add_status_dir(int root, struct build_sbom *sbom)
{
	static const char at[] = "var/lib/dpkg/status.d";
	int fd = open_in(root, at, O_RDONLY | O_DIRECTORY), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (fd >= 0 && !d)
		close(fd);
	while (d && r >= 0 && (entry = readdir(d))) {
		NOMAD_AUTO_FREE char *path = nomad_strdupf("%s/%s", at, entry->d_name);
		NOMAD_AUTO_FREE char *text = path && !strstr(entry->d_name, ".md5sums") ? read_in(root, path) : NULL;

		r = text ? build_sbom_add_dpkg(sbom, text) : 0;
	}
	if (d)
		closedir(d);
	return r;
}

static int add_all(int root, struct build_sbom *sbom)
{
	static const char *const apk[] = { "lib/apk/db/installed", "usr/lib/apk/db/installed" };
	NOMAD_AUTO_FREE char *dpkg = read_in(root, "var/lib/dpkg/status");
	int r = dpkg ? build_sbom_add_dpkg(sbom, dpkg) : 0;
	size_t i;

	if (r >= 0)
		r = add_status_dir(root, sbom);
	for (i = 0; i < NOMAD_ARRAY_LEN(apk) && r >= 0; i++) {
		NOMAD_AUTO_FREE char *text = read_in(root, apk[i]);

		if (!text)
			continue;
		r = build_sbom_add_apk(sbom, text);
		break; /* one may be a link to the other */
	}
	return r;
}

/* The image itself, and that it contains the others. */
static json_t *relate(struct build_sbom *sbom, const struct build_plan *plan, const struct build_result *result)
{
	const char *digest = result->digest ? result->digest : result->image.digest;
	json_t *list = json_array(), *package;
	size_t i;

	json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "spdxElementId", "SPDXRef-DOCUMENT", "relationshipType",
					      "DESCRIBES", "relatedSpdxElement", "SPDXRef-Image"));
	json_array_foreach(sbom->packages, i, package) json_array_append_new(
		list, json_pack("{s:s,s:s,s:O}", "spdxElementId", "SPDXRef-Image", "relationshipType", "CONTAINS",
				"relatedSpdxElement", json_object_get(package, "SPDXID")));
	json_array_insert_new(sbom->packages, 0,
			      json_pack("{s:s,s:s,s:o,s:s,s:b,s:s,s:s,s:s,s:s,s:[{s:s,s:s}]}", "SPDXID",
					"SPDXRef-Image", "name", plan->tags && plan->tags[0] ? plan->tags[0] : "image",
					"versionInfo", json_sprintf("sha256:%s", digest ? digest : ""),
					"primaryPackagePurpose", "CONTAINER", "filesAnalyzed", false,
					"downloadLocation", NOTHING, "licenseConcluded", NOTHING, "licenseDeclared",
					NOTHING, "copyrightText", NOTHING, "checksums", "algorithm", "SHA256",
					"checksumValue", digest ? digest : ""));
	return list;
}

static json_t *created(const struct build_plan *plan)
{
	time_t now = plan->timestamp ? (time_t)strtoll(plan->timestamp, NULL, 10) : time(NULL);
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	return json_pack("{s:s,s:[s]}", "created", text, "creators", "Tool: nomad-driver-build-" NOMAD_VERSION);
}

char *build_sbom(int root, const struct build_plan *plan, const struct build_result *result, const char **ret_left_out)
{
	static const char *const others[] = { "var/lib/rpm", "usr/lib/sysimage/rpm", "var/lib/pacman/local" };
	static const char scope[] = "Lists what the databases of dpkg and apk in the image name, and nothing else: no "
				    "packages of languages, and no files copied into it.";
	struct build_sbom sbom = { .packages = json_array() };
	const char *digest = result->digest ? result->digest : result->image.digest;
	char *text = NULL;
	json_t *top, *relations;
	int r;

	find_distribution(root, &sbom);
	*ret_left_out = NULL;
	for (size_t i = 0; i < NOMAD_ARRAY_LEN(others) && !*ret_left_out; i++)
		if (is_there(root, others[i]))
			*ret_left_out = others[i];
	r = add_all(root, &sbom);
	relations = relate(&sbom, plan, result);
	top = json_pack("{s:s,s:s,s:s,s:s,s:o,s:o,s:o,s:O,s:o}", "spdxVersion", "SPDX-2.3", "dataLicense", "CC0-1.0",
			"SPDXID", "SPDXRef-DOCUMENT", "name", plan->tags && plan->tags[0] ? plan->tags[0] : "image",
			"documentNamespace",
			json_sprintf("urn:nomad-driver-build:spdx:sha256:%s", digest ? digest : ""), "creationInfo",
			created(plan), "comment",
			json_sprintf("%s%s%s%s", scope, *ret_left_out ? " Its database /" : "",
				     *ret_left_out ? *ret_left_out : "", *ret_left_out ? " was not read." : ""),
			"packages", sbom.packages, "relationships", relations);
	if (r >= 0 && top)
		text = json_dumps(top, JSON_INDENT(1));
	json_decref(top);
	json_decref(sbom.packages);
	return text;
}
