# SPDX-License-Identifier: MPL-2.0
# A web server in a jail on the public bridge.

job "web" {
  group "web" {
    network {
      port "http" {
        to = 80
      }
    }

    task "nginx" {
      driver      = "pot"
      kill_signal = "SIGQUIT"

      config {
        image = "https://potluck.honeyguide.net/nginx-nomad"
        pot   = "nginx-nomad-amd64-14_1"
        tag   = "1.1.20"

        command = "nginx"
        args    = ["-g", "daemon off;"]

        ports      = ["http"]
        copy       = ["local/index.html:/usr/local/www/nginx/index.html"]
        attributes = ["devfs_ruleset:4"]
      }

      template {
        destination = "local/index.html"
        data        = "hello from {{ env \"NOMAD_ALLOC_ID\" }}\n"
      }

      resources {
        cpu    = 200
        memory = 128
      }
    }
  }
}
