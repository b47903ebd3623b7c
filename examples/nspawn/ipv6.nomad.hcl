# SPDX-License-Identifier: MPL-2.0
# A service that answers over IPv6. The agent's client block needs
#	host_network "ipv6" { cidr = "2001:db8::/64" }
# and the plugin block needs
#	network_pool6 = "fd5d:8a3c:17e2::/64"
# both with numbers of your own.
job "ipv6" {
  group "web" {
    network {
      port "http" {
        to           = 8080
        host_network = "ipv6"
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
        args  = ["-p", "[::]:8080", "-h", "/local/www"]
        ports = ["http"]
      }

      template {
        destination = "local/www/index.html"
        data        = "served over IPv6\n"
      }

      service {
        name     = "ipv6"
        provider = "nomad"
        port     = "http"
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
