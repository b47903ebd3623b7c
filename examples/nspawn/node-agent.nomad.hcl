# SPDX-License-Identifier: MPL-2.0
# An agent of the operator that sees the whole node, as "privileged" with docker.
# A node refuses it, unless its plugin block has
#
#   policy {
#     namespace {
#       name                 = "default" # of those who may do that
#       allow_bind_read_only = ["/"]
#       allow_capability     = ["CAP_SYS_PTRACE"]
#       allow_host_users     = true
#     }
#   }
job "node-agent" {
  type = "system"

  group "node-agent" {
    task "exporter" {
      driver = "nspawn"

      config {
        image = "node-exporter-1.5"
        boot  = false
        image_download {
          url  = "registry.example.org/node-exporter:1.5"
          type = "docker"
        }
        args             = ["--path", "/host"]
        user_namespacing = false
        network_veth     = false
        capability       = ["CAP_SYS_PTRACE"]
        bind_read_only   = { "/" = "/host" }
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
