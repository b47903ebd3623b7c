# SPDX-License-Identifier: MPL-2.0
# From the top of the repository, as root:
#
#	make && nomad agent -dev -plugin-dir=$PWD/build/plugins -config=examples/agent.hcl
#
# Each driver in the plugin directory needs a block here (Nomad 1.10 and
# newer); what is not said has its default.  `build/plugins/DRIVER schema`
# prints what can be said.

plugin "nomad-driver-nspawn" {
  config {
    enabled = true
    volumes = true

    # Where the trees of the examples are.
    policy {
      allow_image = ["build/cache"]
    }
  }
}

# Needs buildah and slirp4netns; builds run as root.
plugin "nomad-driver-build" {
  config {}
}
