# SPDX-License-Identifier: MPL-2.0
# A job as it was written for the Go driver: blocks and maps in both spellings,
# one group of machines and one of containers.  It runs unchanged.

job "old-driver" {
  datacenters = ["*"]

  update {
    canary       = 1
    max_parallel = 1
  }

  group "machines" {
    count = 2

    task "machine" {
      driver = "triton"

      service {
        name         = "shell"
        provider     = "nomad"
        port         = "22"
        address_mode = "driver"
      }

      config {
        package {
          name = "sample-1G"
        }
        api_type = "cloud_api"
        cloud_api {
          image {
            name    = "base-64"
            version = "22.4.0"
          }
          networks = [
            {
              name = "My-Fabric-Network"
            },
          ]
        }
        fwenabled = true
        cns       = ["shell_example"]
        tags = {
          role = "shell"
        }
        fwrules = {
          shell = "FROM any TO tag role = shell ALLOW tcp PORT 22"
        }
      }

      env {
        greeting = "hello"
      }
      meta {
        team-name = "red"
      }
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }

  group "containers" {
    task "container" {
      driver = "triton"

      config {
        api_type = "docker_api"
        docker_api {
          public_network  = "external"
          private_network = "My-Fabric-Network"
          labels {
            team = "red"
          }
          dns         = ["10.0.0.2"]
          extra_hosts = ["db:10.0.0.5"]
          domain_name = "example.com"
          hostname    = "box"
          user        = "0"
          cmd         = ["sleep", "3600"]
          ports {
            tcp = [22, 8081]
            udp = [53]
          }
          image {
            name      = "busybox"
            tag       = "test"
            auto_pull = true
          }
        }
        package {
          name = "sample-128M"
        }
        fwenabled = false
        cns       = ["box"]
        tags = {
          role = "box"
        }
        fwrules {
          tcp = "FROM tag role = box TO tag role = box ALLOW tcp PORT all"
        }
      }

      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
