# SPDX-License-Identifier: MPL-2.0
# A first task: a command in a jail.  The exit code 7 is meant: it shows that Nomad sees the true one.
job "hello" {
  type = "batch"

  group "hello" {
    # Report the first end instead of trying again.
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }

    task "hello" {
      driver = "pot"

      config {
        image   = "https://potluck.honeyguide.net/nginx-nomad"
        pot     = "nginx-nomad-amd64-14_1"
        tag     = "1.1.20"
        command = "/bin/sh"
        args    = ["-c", "echo \"Hello from $NOMAD_TASK_NAME\"; exit 7"]
      }

      resources {
        cpu    = 100
        memory = 64
      }
    }
  }
}
