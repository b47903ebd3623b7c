# SPDX-License-Identifier: MPL-2.0
# An image that is pinned by the digest of its multi-arch index: each node takes
# the part for its CPU, whatever the tag means by now. The digest of a tag:
#	skopeo inspect --raw docker://registry.example.org/tool:5 | sha256sum
variable "digest" {
  default = "sha256:9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"
}

job "pinned" {
  type = "batch"

  group "pinned" {
    task "tool" {
      driver = "nspawn"

      config {
        image = "tool-5"
        boot  = false
        image_download {
          url  = "registry.example.org/tool@${var.digest}"
          type = "docker"
        }
        args = ["--version"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
