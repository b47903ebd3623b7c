# SPDX-License-Identifier: MPL-2.0
# Off until it is copied to where the agent reads its configuration, such as
# /etc/nomad.d/build.hcl.  `nomad-driver-build schema --plugin` prints what may
# stand in config; all has a default.  Leave plugin_dir out where the plugin is
# in the agent's own directory, <data_dir>/plugins.

plugin_dir = "/usr/lib/nomad/plugins"

plugin "nomad-driver-build" {
  config {}
}
