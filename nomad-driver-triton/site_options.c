/* SPDX-License-Identifier: MPL-2.0
 *
 * The options of the plugin's block: where the data centre is, who asks, and
 * how much. */
#include <string.h>

#include "config.h"
#include "text.h"

static const char *check_url(const char *value)
{
	return strncmp(value, "https://", 8) == 0 || strncmp(value, "http://", 7) == 0
		       ? NULL
		       : "a URL beginning with https://";
}

static const char *check_docker_url(const char *value)
{
	return strncmp(value, "tcp://", 6) == 0 || strncmp(value, "https://", 8) == 0 ||
			       strncmp(value, "http://", 7) == 0
		       ? NULL
		       : "a URL such as tcp://docker.example.com:2376";
}

static const char *check_account(const char *value)
{
	return triton_is_login(value) ? NULL : "a login name";
}

static const char *check_cluster(const char *value)
{
	return triton_is_login(value) && strlen(value) <= 63 ? NULL
							     : "a name of at most 63 letters, digits, - . _ and @";
}

static const struct nomad_option config_options[] = {
	NOMAD_OPTION(struct triton_config, url, STRING, .check = check_url,
		     .example = "\"https://us-central-1.api.example.com\"",
		     .help = "Address of CloudAPI. Default: TRITON_URL or SDC_URL of the environment."),
	NOMAD_OPTION(struct triton_config, account, STRING, .check = check_account, .example = "\"acme\"",
		     .help = "Login of the account. Default: TRITON_ACCOUNT or SDC_ACCOUNT."),
	NOMAD_OPTION(struct triton_config, user, STRING, .check = check_account, .example = "\"deployer\"",
		     .help = "Sub-user (RBAC) of the account whose key signs. Default: TRITON_USER or SDC_USER."),
	NOMAD_OPTION(struct triton_config, act_as, STRING, .check = check_account, .example = "\"customer\"",
		     .help = "Login of another account to work in, with the key of account. Only CloudAPI has that: "
			     "containers are made in account. Default: TRITON_ACT_AS."),
	NOMAD_OPTION(struct triton_config, as_roles, STRING_LIST, .check = check_account, .max_items = 16,
		     .example = "[\"deploy\"]",
		     .help = "Roles that the sub-user takes for each request. Default: the user's default roles."),
	NOMAD_OPTION(struct triton_config, role_tags, STRING_LIST, .check = check_account, .max_items = 16,
		     .example = "[\"read\"]",
		     .help = "Roles whose members may use the machines that the driver makes (role tags)."),
	NOMAD_OPTION(
		struct triton_config, profile, STRING, .example = "\"us-central-1\"",
		.help = "Profile of the triton command that gives url, account, user, key_id, insecure and act_as "
			"where the plugin block does not: a name in ~/.triton/profiles.d of the agent's user, or the "
			"path of a JSON file. It wins over the environment."),
	NOMAD_OPTION(struct triton_config, key_id, STRING, .example = "\"SHA256:LBvXO...\"",
		     .help = "Fingerprint of the key that signs: SHA256:..., MD5:aa:bb:... or aa:bb:.... Default: "
			     "TRITON_KEY_ID or SDC_KEY_ID; without any, that of key_file."),
	NOMAD_OPTION(struct triton_config, key_file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/etc/nomad.d/triton.pem\"",
		     .help = "File with the private key: PEM (PKCS#1, SEC 1, PKCS#8) or OpenSSH. Default: "
			     "TRITON_KEY_MATERIAL or SDC_KEY_MATERIAL. Without a key file the ssh-agent signs."),
	NOMAD_OPTION(struct triton_config, key_material, STRING, .secret = true,
		     .help = "The private key itself, in place of key_file. Prefer key_file: this text stands in the "
			     "agent's configuration."),
	NOMAD_OPTION(struct triton_config, key_passphrase_file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/etc/nomad.d/triton.passphrase\"",
		     .help = "File whose first line decrypts the private key. Only for keys in PEM form; an encrypted "
			     "key in OpenSSH form needs an ssh-agent."),
	NOMAD_OPTION(struct triton_config, ssh_auth_sock, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/run/ssh-agent.sock\"",
		     .help = "Socket of the ssh-agent that signs. Default: SSH_AUTH_SOCK."),
	NOMAD_OPTION(struct triton_config, ca_file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/etc/ssl/triton-ca.pem\"",
		     .help = "Certificates that CloudAPI's certificate is verified against, where it is not signed by "
			     "a public authority."),
	NOMAD_OPTION(struct triton_config, insecure, TRISTATE,
		     .help = "Do not verify the certificate of CloudAPI. Default: TRITON_INSECURE, "
			     "TRITON_SKIP_TLS_VERIFY or TRITON_TLS_INSECURE, read as a boolean, or SDC_TESTING, "
			     "whatever its value."),
	NOMAD_OPTION(struct triton_config, docker_url, STRING, .check = check_docker_url,
		     .example = "\"tcp://us-central-1.docker.example.com:2376\"",
		     .help = "Address of the Docker API. Default: DOCKER_HOST, then what CloudAPI names among its "
			     "services."),
	NOMAD_OPTION(struct triton_config, docker_cert_path, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/etc/nomad.d/docker\"",
		     .help = "Folder with key.pem, cert.pem and ca.pem for the Docker API. Default: DOCKER_CERT_PATH."),
	NOMAD_OPTION(struct triton_config, docker_insecure, TRISTATE,
		     .help = "Do not verify the certificate of the Docker API. Default: as insecure, unless "
			     "DOCKER_TLS_VERIFY is set."),
	NOMAD_OPTION(struct triton_config, datacenter, STRING, .example = "\"us-central-1\"",
		     .help = "Name of the data centre, as attribute of the node. Default: what CloudAPI says."),
	NOMAD_OPTION(struct triton_config, requests_per_second, INT, .min = 1, .max = 1000, .def = "10",
		     .help = "Budget of API requests that all tasks of this node share; short bursts of twice as many "
			     "are let through."),
	NOMAD_OPTION(struct triton_config, poll_interval, INT, .min = 1, .max = 300, .def = "5", .unit = "seconds",
		     .help = "How often the state of all instances is asked for, with one request."),
	NOMAD_OPTION(struct triton_config, request_timeout, INT, .min = 1, .max = 600, .def = "30", .unit = "seconds",
		     .help = "Time limit of one API request."),
	NOMAD_OPTION(struct triton_config, provision_timeout, INT, .min = 1, .max = 7200, .def = "900",
		     .unit = "seconds",
		     .help = "How long an instance may take to run, for tasks that name no provision_timeout."),
	NOMAD_OPTION(
		struct triton_config, max_instances, INT, .min = 0, .max = 1 << 20, .def = "0", .unit = "instances",
		.help = "Maximum number of instances that run for tasks of this node; a start beyond it fails. 0: no "
			"maximum."),
	NOMAD_OPTION(struct triton_config, cluster, STRING, .check = check_cluster, .example = "\"prod\"",
		     .help = "Name of the Nomad cluster, as tag nomad_cluster of its instances. Give each cluster that "
			     "uses the account another name. Nodes leave instances alone that carry another one, or "
			     "none."),
	NOMAD_OPTION(struct triton_config, lease_timeout, INT, .min = 0, .max = 86400, .def = "1800", .unit = "seconds",
		     .help = "How long another node may leave its lease unrenewed before this one asks Nomad which of "
			     "its instances may be removed. 0: never. See \"Instances of lost nodes\"."),
	NOMAD_OPTION(struct triton_config, nomad_address, STRING, .check = check_url,
		     .example = "\"https://127.0.0.1:4646\"",
		     .help = "Address of Nomad's HTTP API, which says whether an allocation is over. Default: "
			     "NOMAD_ADDR, else http://127.0.0.1:4646."),
	NOMAD_OPTION(struct triton_config, nomad_token_file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/etc/nomad.d/triton.token\"",
		     .help = "File whose first line is a Nomad token that may read jobs in all namespaces. Not "
			     "needed without ACLs."),
	NOMAD_OPTION(struct triton_config, nomad_ca_file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/etc/nomad.d/ca.pem\"",
		     .help = "Certificates that Nomad's certificate is verified against. Default: NOMAD_CACERT."),
	NOMAD_OPTION(struct triton_config, nomad_cert_file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/etc/nomad.d/client.pem\"",
		     .help = "Client certificate for Nomad's HTTP API. Default: NOMAD_CLIENT_CERT."),
	NOMAD_OPTION(struct triton_config, nomad_key_file, STRING, .check = nomad_check_absolute_path,
		     .example = "\"/etc/nomad.d/client.key\"",
		     .help = "Key of nomad_cert_file. Default: NOMAD_CLIENT_KEY."),
};

const struct nomad_schema triton_config_schema = NOMAD_SCHEMA(struct triton_config, config_options);
