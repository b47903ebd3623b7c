/* SPDX-License-Identifier: MPL-2.0
 *
 * argv.h: the command line of systemd-nspawn, a pure function of what the
 * job wants (struct nspawn_config) and of what the driver found out (struct
 * nspawn_machine). */
#ifndef NSPAWN_ARGV_H
#define NSPAWN_ARGV_H

#include "config.h"
#include "oci.h"
#include "users.h"

/* A path of the host in the container. */
struct nspawn_bind {
	char *host, *container;
	bool read_only;
	bool idmap;  /* owners as on the host although the container has its own users */
	bool pinned; /* host has no symbolic links, and is mounted without following any */
	bool file;   /* not a directory */
	char device; /* b or c: a node, with this number */
	unsigned major, minor;
	char access[4]; /* of "rwm", where it is named as a device */
};

enum nspawn_image_kind {
	NSPAWN_DIRECTORY,
	NSPAWN_RAW, /* file or block device */
};

/* What the driver found out about one machine. */
struct nspawn_machine {
	int version;	    /* of systemd on this host */
	const char *nspawn; /* absolute path of systemd-nspawn */
	const char *name;   /* of the machine */
	const char *uuid;   /* the allocation's id */
	const char *image;  /* absolute */
	enum nspawn_image_kind image_kind;
	const char *init;	       /* nspawn-init on the host */
	const char *state_dir;	       /* private directory of this task */
	const char *layer;	       /* file with a file system for what it writes; or NULL */
	const char *sticky;	       /* directory of the layer that stays, also that of `layer`; or NULL */
	const char *hidden;	       /* the same, or what an earlier run has left: no bind shows it; or NULL */
	const char *spec;	       /* path that systemd-nspawn reads the specification from */
	const char *user;	       /* of the task, where the config names none; or NULL */
	struct nspawn_users users;     /* that it gets; .count 0: systemd-nspawn finds them by itself, or none */
	const struct nspawn_oci *oci;  /* what the image says, where nobody else does; never NULL */
	bool idmap_state;	       /* state_dir can be mounted with idmap */
	bool idmap_image;	       /* so can the image */
	bool own_network;	       /* it gets a network namespace for itself alone */
	const char *peer;	       /* link of the host that becomes its own; or NULL */
	const char *address, *gateway; /* of that link; or NULL */
	int bits;
	const char *address6, *gateway6; /* the same of IPv6, with 96 bits more */
	const char *dhcp_link;		 /* answer DHCP clients there with these; or NULL */
	bool limit_devices;		 /* this host can */
	const char *resolv_conf;	 /* file of ours that becomes /etc/resolv.conf; or NULL */
	struct nspawn_bind *binds;
	size_t n_binds;
};

/* Whether the container has users of its own. */
bool nspawn_userns(const struct nspawn_config *config);
/* Whether owners of files outside the image look shifted in it, so that mounts have to shift them back. */
bool nspawn_shifts(const struct nspawn_config *config);
/* Whether the root is an overlay of ours over the image. */
bool nspawn_overlays(const struct nspawn_config *config);
/* Whether what it writes there outlives the task. */
bool nspawn_sticky(const struct nspawn_config *config);

/* Whether what it writes there stays in memory. */
bool nspawn_in_memory(const struct nspawn_config *config, const char *image);

/* The whole command, beginning with the launcher. */
int nspawn_argv(const struct nspawn_config *config, const struct nspawn_machine *machine, char ***ret_argv,
		struct nomad_error **err) NOMAD_MUST_CHECK;

/* What PID 1 is told: *ret_data, *ret_size bytes, see init/init.c.  `task_env` wins over the config's. */
int nspawn_spec(const struct nspawn_config *config, const struct nspawn_machine *machine,
		const struct nomad_map *task_env, char **ret_data, size_t *ret_size,
		struct nomad_error **err) NOMAD_MUST_CHECK;

/* "/a:b" -> "/a\:b", malloc()ed. */
char *nspawn_escape(const char *path);

int nspawn_machine_bind(struct nspawn_machine *machine, const char *host, const char *container, bool read_only,
			struct nomad_error **err) NOMAD_MUST_CHECK;
void nspawn_machine_done(struct nspawn_machine *machine);

/* Whether a path is `dir` or below it, as they are written.  NULL and "" have nothing below them. */
bool nspawn_is_below(const char *path, const char *dir);

#endif
