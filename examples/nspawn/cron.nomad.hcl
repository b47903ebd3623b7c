# SPDX-License-Identifier: MPL-2.0
# A batch job that runs each night. Its exit code is the number of hosts that do
# not answer: Nomad reports it and does not try again before the next night.
job "cron" {
  type = "batch"

  periodic {
    crons            = ["15 3 * * *"]
    prohibit_overlap = true
  }

  group "cron" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "look" {
      driver = "nspawn"

      config {
        image = "busybox-1.36"
        boot  = false
        image_download {
          url  = "registry.example.org/busybox:1.36"
          type = "docker"
        }
        entrypoint = ["/bin/sh", "-c"]
        args = [<<-SCRIPT
          failed=0
          for host in db web; do
            wget -q -T 2 -O /dev/null "http://$host/" || { echo "$host does not answer"; failed=$((failed + 1)); }
          done
          exit $failed
          SCRIPT
        ]
        extra_hosts = ["db:192.0.2.10", "web:192.0.2.11"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
