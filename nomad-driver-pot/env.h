/* SPDX-License-Identifier: MPL-2.0
 *
 * env.h: how the environment of a task gets into its jail. */
#ifndef POT_ENV_H
#define POT_ENV_H

#include "nomad/base.h"

struct nomad_error;

/* In the secrets directory; created again at each start. */
#define POT_ENV_DIR ".nomad-env"
#define POT_ENV_SCRIPT POT_ENV_DIR "/exports"

/* What `pot set-env -E` is to get: NAME=VALUE, VALUE being shell code between
 * double quotes.  Names that no shell takes are left out.
 *
 * With `secrets_dir` (on the host) values go to files there, which the jail
 * sees below `secrets_mount`; a script that exports them all, for exec, too.
 * With NULL the result contains them.  *ret_assignments is NULL if there are
 * none. */
int pot_env_assignments(const struct nomad_map *env, const char *secrets_dir, const char *secrets_mount,
			char ***ret_assignments, struct nomad_error **err) NOMAD_MUST_CHECK;
/* NAME=VALUE as `pot exec -e` takes them: no shell reads these. */
int pot_env_plain(const struct nomad_map *env, char ***ret_assignments, struct nomad_error **err) NOMAD_MUST_CHECK;
/* `value` as shell code between double quotes; malloc()ed. */
char *pot_env_encode(const char *value);

#endif
