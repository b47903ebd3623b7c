# SPDX-License-Identifier: MPL-2.0
# A program with a large heap, such as a JVM: Nomad reserves 64 MiB for it, and
# it may use up to 160 MiB while the node has them. This takes
#	nomad operator scheduler set-config -memory-oversubscription=true
variable "heap" {
  default = "96m"
}

job "memory" {
  type = "batch"

  group "memory" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "app" {
      driver = "nspawn"

      config {
        image = "app-3"
        boot  = false
        image_download {
          url  = "registry.example.org/app:3"
          type = "docker"
        }
        args = ["-Xmx${var.heap}", "-jar", "/app.jar"]
      }

      resources {
        cpu        = 100
        memory     = 64
        memory_max = 160
      }
    }
  }
}
