# SPDX-License-Identifier: MPL-2.0
# Copy this file to where the agent reads its configuration, for example
# /etc/nomad.d/build.hcl.  `nomad-driver-build schema --plugin` prints the options of
# config; each has a default.  Omit plugin_dir if the plugin is in the agent's
# own directory, <data_dir>/plugins.

plugin_dir = "/usr/lib/nomad/plugins"

plugin "nomad-driver-build" {
  config {
    # What jobs may do beyond their own allocation.  Omit what you do not
    # need: the default is safe, and does not restrict registries.  A job that
    # is refused says which line would allow it.
    policy {
      allow_from     = ["docker.io/*", "ghcr.io/*", "registry.example.org/*"]
      allow_push     = ["registry.example.org/*"]
      max_pids_limit = 4096
    }
  }
}
