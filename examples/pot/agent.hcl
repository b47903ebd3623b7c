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

    # What jobs may do to this node beyond their own jail.  Omit what you do
    # not need: the default is safe.  Nomad's volumes need no rule.  A job that
    # is refused says which line would allow it.
    policy {
      allow_image           = ["https://potluck.honeyguide.net/*"]
      allow_mount_read_only = ["/usr/ports"]

      # For jobs in the Nomad namespace "ops" these replace the rules above.
      namespace {
        name             = "ops"
        allow_mount      = ["/mnt"]
        allow_attributes = ["mlock:*"]
      }
    }
  }
}
