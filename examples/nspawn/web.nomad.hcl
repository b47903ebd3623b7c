# SPDX-License-Identifier: MPL-2.0
# A web server whose page is a template, on a dynamic port; Nomad's service
# catalogue has the address of the container, and Nomad checks the page.
job "web" {
  group "web" {
    network {
      port "http" {
        to = 8080
      }
    }

    task "httpd" {
      driver = "nspawn"

      config {
        image   = "build/cache/demo/busybox"
        boot    = false
        user    = "web"
        ports   = ["http"]
        command = ["httpd", "-f", "-p", "8080", "-h", "/local/www"]
      }

      template {
        destination = "local/www/index.html"
        data        = "served by {{ env \"NOMAD_ALLOC_NAME\" }}\n"
      }

      service {
        name         = "web"
        provider     = "nomad"
        port         = "8080"
        address_mode = "driver"

        check {
          type     = "http"
          path     = "/"
          port     = "http"
          interval = "5s"
          timeout  = "2s"
        }
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
