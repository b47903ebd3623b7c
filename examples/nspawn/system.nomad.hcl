# SPDX-License-Identifier: MPL-2.0
# A system that boots: a minimal Debian, made by
#
#	examples/nspawn/make-root.sh debian build/cache/nspawn/debian
#
# with a network of its own and a web port.  `nomad alloc exec` gives a shell.
job "system" {
  group "system" {
    network {
      port "http" {
        to = 80
      }
    }

    task "debian" {
      driver = "nspawn"

      config {
        image        = "build/cache/nspawn/debian"
        notify_ready = true
        ports        = ["http"]
      }

      kill_timeout = "20s"

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
