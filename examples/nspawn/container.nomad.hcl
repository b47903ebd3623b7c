# SPDX-License-Identifier: MPL-2.0
# A web server from a registry, as a job of Nomad's docker driver would have
# it: nomad-driver-nspawn/MOVING.md compares the options.
job "container" {
  group "web" {
    network {
      port "http" {
        to = 8080
      }
    }

    task "server" {
      driver = "nspawn"

      config {
        # The name that the node keeps the image under, and where it comes from. Pin it by its digest:
        # url = "registry.example.org/httpd@sha256:..."
        image = "httpd-1.4"
        boot  = false
        image_download {
          url  = "registry.example.org/httpd:1.4"
          type = "docker"
        }
        image_pull_timeout = "10m"

        # Arguments for the entrypoint of the image.
        args        = ["-p", "8080", "-h", "/srv/www"]
        ports       = ["http"]
        volumes     = ["local/www:/srv/www:ro"]
        extra_hosts = ["db:10.0.0.5"]
        ulimit      = { nofile = "1024:4096" }
        sysctl      = { "net.core.somaxconn" = "1024" }
        storage_mb  = 512

        mount {
          type   = "tmpfs"
          target = "/var/cache"
          tmpfs_options {
            size = 16777216
          }
        }
      }

      template {
        destination = "local/www/index.html"
        data        = "served by {{ env \"NOMAD_ALLOC_NAME\" }}\n"
      }

      service {
        name         = "container"
        provider     = "nomad"
        port         = "8080"
        address_mode = "driver"
      }

      resources {
        cpu        = 100
        memory     = 64
        memory_max = 128
      }
    }
  }
}
