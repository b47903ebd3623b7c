# SPDX-License-Identifier: MPL-2.0
# The forms of the older nomad-pot-driver's documentation: ports in the task's resources, port_map, a checked service.
# It runs unchanged; new jobs put the network block into the group.

job "nginx-minipot" {
  type = "service"

  group "group1" {
    count = 1

    task "www1" {
      driver = "pot"

      service {
        name = "nginx-minipot-service"
        tags = ["pot-jail", "metrics"]
        port = "http"

        check {
          type     = "tcp"
          port     = "http"
          interval = "60s"
          timeout  = "4s"
        }
      }

      config {
        image = "https://potluck.honeyguide.net/nginx-nomad"
        pot   = "nginx-nomad-amd64-14_1"
        tag   = "1.1.20"

        command = "nginx"
        args    = ["-g", "'daemon off;'"]

        copy  = ["/mnt/s3/web/nginx.conf:/usr/local/etc/nginx/nginx.conf"]
        mount = ["/mnt/s3/web/www:/mnt"]

        port_map = {
          http = "80"
        }
      }

      resources {
        cpu    = 200
        memory = 64

        network {
          mbits = 10
          port "http" {}
        }
      }
    }
  }
}
