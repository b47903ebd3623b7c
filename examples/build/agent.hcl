# SPDX-License-Identifier: MPL-2.0
# Off until it is copied to where the agent reads its configuration, such as
# /etc/nomad.d/build.hcl.  `nomad-driver-build schema --plugin` prints what may
# stand in config; all has a default.  Leave plugin_dir out where the plugin is
# in the agent's own directory, <data_dir>/plugins.

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
