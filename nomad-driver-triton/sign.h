/* SPDX-License-Identifier: MPL-2.0
 *
 * sign.h: HTTP signatures as CloudAPI wants them. */
#ifndef TRITON_SIGN_H
#define TRITON_SIGN_H

#include "nomad/base.h"
#include "nomad/error.h"

struct triton_signer;

struct triton_signer_options {
	const char *account;
	const char *user;	     /* sub-user, or NULL */
	const char *key_id;	     /* fingerprint; NULL: that of the key file */
	const char *key_file;	     /* path, or NULL */
	const char *key_material;    /* the key itself, or NULL */
	const char *passphrase_file; /* of the key, or NULL */
	const char *agent_socket;    /* used if there is neither; or NULL */
};

/* Find the key.  The texts of the options are borrowed.  Fails with the remedy in the message where there is none. */
int triton_signer_new(const struct triton_signer_options *options, struct triton_signer **ret,
		      struct nomad_error **err);
void triton_signer_free(struct triton_signer *signer);

/* The value of an Authorization header for a request.  `target` is the path
 * with its query exactly as it is sent, `date` the value of the Date header.
 * *ret_generation names the key that signed.  Any thread. */
int triton_signer_sign(struct triton_signer *signer, const char *method, const char *target, const char *date,
		       char **ret_authorization, unsigned *ret_generation, struct nomad_error **err);
/* The server refused a signature of the key `generation`: reads the file or
 * asks the agent again, once in five seconds at most.  True if there is another
 * key by now, and so reason to send the request again.  Any thread. */
bool triton_signer_renew(struct triton_signer *signer, unsigned generation);

/* "/acme/keys/aa:bb:..." */
const char *triton_signer_key_path(const struct triton_signer *signer);

#endif
