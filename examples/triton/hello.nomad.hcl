# SPDX-License-Identifier: MPL-2.0
# A first machine: an image, a package.  The task lasts as long as the machine runs.
job "hello-triton" {
  datacenters = ["*"]

  group "hello" {
    task "machine" {
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
        }
        package {
          name = "sample-1G"
        }
      }

      # The package's CPU and memory count; these satisfy Nomad's scheduler only.
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
