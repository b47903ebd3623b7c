# SPDX-License-Identifier: MPL-2.0
# /usr/local/etc/nomad/client.hcl on FreeBSD.  The agent runs as root.

plugin_dir = "/usr/local/libexec/nomad/plugins"

client {
  enabled = true
}

plugin "nomad-driver-pot" {
  config {
    # An image may take long the first time.
    prepare_timeout = 7200
    # Jobs may mount what is in their allocation, and volumes.
    allow_host_paths = false
  }
}
