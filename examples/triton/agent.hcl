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
  }
}
