# SPDX-License-Identifier: MPL-2.0
# What a Terraform configuration of the Triton provider says, as a job.
#
#   data "triton_image"               cloud_api.image, a query
#   data "triton_network"             cloud_api.networks, by name
#   triton_machine                    the task: package, affinity, cns, tags,
#                                     metadata, user_script, firewall_enabled
#   templatefile()                    a template block and user_script_file
#   triton_firewall_rule              fwrules, removed with the last instance
#   triton_volume                     volumes with a size
#   count                             the group's count

job "terraform" {
  datacenters = ["*"]

  group "web" {
    count = 2

    task "web" {
      driver = "triton"

      template {
        data        = <<-EOT
          #!/bin/sh
          echo instance {{ env "NOMAD_ALLOC_INDEX" }} >/var/tmp/instance
        EOT
        destination = "local/setup.sh"
      }

      config {
        api_type = "cloud_api"
        cloud_api {
          image {
            name            = "base-64"
            published_after = "2023-06-01"
            most_recent     = true
          }
          networks = [
            { name = "My-Fabric-Network" }
          ]
          user_script_file = "local/setup.sh"
        }
        package {
          name = "sample-1G"
        }
        affinity = ["role!=~web"]
        cns      = ["web"]
        tags = {
          role    = "web"
          version = "1.0"
        }
        metadata = {
          colour = "blue"
        }
        fwenabled = true
        fwrules = {
          http = "FROM any TO tag role = web ALLOW tcp PORT 80"
        }
        volumes = [
          { name = "web-data", mountpoint = "/data", size = 10240, keep = true }
        ]
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
