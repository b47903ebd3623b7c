# SPDX-License-Identifier: MPL-2.0
# A database that runs as a user of its image and keeps its data in a volume.
# The agent's client block needs host_volume "postgres" { path = "/srv/postgres" }
# and the directory belongs to uid 999.
job "database" {
  group "database" {
    # The port stays the same, and only one server may use the data at a time.
    network {
      port "db" {
        static = 5432
      }
    }

    volume "data" {
      type   = "host"
      source = "postgres"
    }

    task "postgres" {
      driver       = "nspawn"
      user         = "999"
      kill_signal  = "SIGINT"
      kill_timeout = "30s"

      config {
        image = "postgres-16"
        boot  = false
        image_download {
          url  = "registry.example.org/postgres:16"
          type = "docker"
        }
        ports    = ["db"]
        shm_size = 134217728
      }

      env {
        PGDATA = "/var/lib/postgresql/data"
      }

      # The files belong to uid 999 in the container and on the host.
      volume_mount {
        volume      = "data"
        destination = "/var/lib/postgresql/data"
      }

      resources {
        cpu    = 200
        memory = 256
      }
    }
  }
}
