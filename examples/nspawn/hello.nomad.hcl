# SPDX-License-Identifier: MPL-2.0
# A first task: a shell in a container.  Its root is made by `make demo`, and
# then the agent has to run in the top directory of the repository, where the
# relative path begins; or by make-root.sh, and then say where:
#	nomad job run -var image=/var/lib/machines/hello hello.nomad.hcl
# The exit code 7 is meant: it shows that Nomad sees the true one.
variable "image" {
  default = "build/cache/demo/busybox"
}

job "hello" {
  type = "batch"

  group "hello" {
    # Report the first end instead of trying again.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "hello" {
      driver = "nspawn"

      config {
        image        = var.image
        boot         = false
        network_veth = false
        command = ["/bin/sh", "-c", <<-SCRIPT
          echo "Hello from $NOMAD_TASK_NAME, PID $$ in a container of user $(id -un)."
          echo "My root is $(df -h / | awk 'NR == 2 { print $1 }'), my files are in $NOMAD_TASK_DIR."
          echo "This goes to stderr." >&2
          exit 7
          SCRIPT
        ]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
