# SPDX-License-Identifier: MPL-2.0
# The plugin's block. What is left out is taken from the environment that
# `triton env` prints: SDC_URL, SDC_ACCOUNT, SDC_KEY_ID, SSH_AUTH_SOCK,
# DOCKER_HOST, DOCKER_CERT_PATH.

plugin "nomad-driver-triton" {
  config {
    url              = "https://us-central-1.api.example.com"
    account          = "acme"
    key_file         = "/etc/nomad.d/triton.pem"
    docker_url       = "tcp://us-central-1.docker.example.com:2376"
    docker_cert_path = "/etc/nomad.d/docker"

    # At most so many instances for the tasks of this node.
    max_instances = 20

    # What jobs may do in the account.  Omit what you do not need: by default a
    # job can do all but change the firewall of other instances.  A job that is
    # refused says which line would allow it.
    policy {
      allow_package = ["sample-*"]
      allow_network = ["My-Fabric-Network"]
      allow_fwrules = ["tag \"role\"*"]

      # For jobs in the Nomad namespace "ops" these replace the rules above.
      namespace {
        name          = "ops"
        allow_package = ["*"]
        allow_fwrules = ["*"]
      }
    }
  }
}
