# SPDX-License-Identifier: MPL-2.0
# A machine and a container of a Triton data centre in one group.
# CPU and memory are the package's; `resources` satisfies Nomad's scheduler only.

job "web" {
  datacenters = ["*"]

  group "web" {
    task "front" {
      driver = "triton"

      service {
        name         = "web"
        provider     = "nomad"
        port         = 80
        address_mode = "driver"
      }

      config {
        api_type = "docker_api"

        docker_api {
          image {
            name = "busybox"
            tag  = "test"
          }
          cmd = ["sh", "-c", "while :; do echo alive; sleep 1; done"]
        }
        package {
          name = "sample-128M"
        }
        cns = ["web:80"]
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }

    task "back" {
      driver = "triton"

      config {
        api_type = "cloud_api"

        cloud_api {
          image {
            name        = "base-64"
            most_recent = true
          }
          networks = [
            { name = "My-Fabric-Network" }
          ]
          user_script = "#!/bin/sh\necho booted >/var/log/booted\n"
        }
        package {
          name = "sample-1G"
        }
        tags {
          role = "db"
        }
        fwenabled = true
        fwrules {
          sql = "FROM tag role = web TO tag role = db ALLOW tcp PORT 5432"
        }
        stop_timeout = 120
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
