# SPDX-License-Identifier: MPL-2.0
# A first build: one file in an image, which stays in the allocation.  The context is the task's local directory.
job "hello-build" {
  type = "batch"

  group "g" {
    task "build" {
      driver = "build"

      template {
        destination = "local/Containerfile"
        data        = "FROM scratch\nCOPY Containerfile /Containerfile\n"
      }

      config {
        output {
          path = "alloc/image.tar"
        }
      }

      resources {
        cpu    = 200
        memory = 200
      }
    }
  }
}
