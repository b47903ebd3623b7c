# SPDX-License-Identifier: MPL-2.0
# A group in bridge mode: the proxy is a sidecar that starts first and reaches
# the server at 127.0.0.1, which only tasks of the group can. Needs CNI plugins.
job "sidecar" {
  group "web" {
    network {
      mode = "bridge"
      port "http" {
        to = 8000
      }
    }

    service {
      name     = "sidecar"
      provider = "nomad"
      port     = "http"
    }

    task "proxy" {
      driver = "nspawn"

      lifecycle {
        hook    = "prestart"
        sidecar = true
      }

      config {
        image = "proxy-2"
        boot  = false
        image_download {
          url  = "registry.example.org/proxy:2"
          type = "docker"
        }
        args = ["--listen", "8000", "--to", "127.0.0.1:8080"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }

    task "server" {
      driver = "nspawn"

      config {
        image = "httpd-1.4"
        boot  = false
        image_download {
          url  = "registry.example.org/httpd:1.4"
          type = "docker"
        }
        args = ["-p", "127.0.0.1:8080", "-h", "/local/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "served behind a proxy\n"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
