# SPDX-License-Identifier: MPL-2.0
# As it was written for the older nomad-pot-driver: it runs unchanged.

job "nginx-minipot" {
  type = "service"

  group "group1" {
    count = 1

    network {
      port "http" {}
    }

    task "www1" {
      driver = "pot"

      config {
        image = "https://potluck.honeyguide.net/nginx-nomad"
        pot   = "nginx-nomad-amd64-14_1"
        tag   = "1.1.20"

        command = "nginx"
        args    = ["-g", "'daemon off;'"]

        port_map = {
          http = "80"
        }

        mount           = ["/mnt/www:/usr/local/www"]
        mount_read_only = ["/usr/ports:/usr/ports"]
        extra_hosts     = ["artifactory:192.168.7.13"]
        attributes      = ["mlock:YES"]
      }

      resources {
        cpu    = 200
        memory = 64
      }
    }
  }
}
