# SPDX-License-Identifier: MPL-2.0
# Copy this file to where the agent reads its configuration, for example
# /etc/nomad.d/nspawn.hcl.  `nomad-driver-nspawn schema --plugin` prints the options of
# config; each has a default.  Omit plugin_dir if the plugin is in the agent's
# own directory, <data_dir>/plugins.

plugin_dir = "/usr/lib/nomad/plugins"

plugin "nomad-driver-nspawn" {
  config {
    enabled = true
    # Nomad's volumes.  They are the way to show host paths to a job, and need
    # no rule in policy.
    volumes = true

    # What jobs may do to this node beyond their own allocation.  Omit what you
    # do not need: the default is safe.  A job that is refused says which line
    # would allow it.
    policy {
      allow_download       = ["https://images.example.org/*"]
      allow_bind_read_only = ["/etc/ssl/certs"]
      allow_devices        = ["/dev/fuse"]
      max_pids_limit       = 2048

      # For jobs in the Nomad namespace "ops" these replace the rules above.
      namespace {
        name             = "ops"
        allow_bind       = ["/srv"]
        allow_host_users = true
      }
    }
  }
}
