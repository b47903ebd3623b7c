job "hello" {
  type = "batch"

  group "hello" {
    task "hello" {
      driver = "raw_exec"

      config {
        command = "/bin/sh"
        args    = ["-c", "echo hello from $(hostname); df -kP /state"]
      }

      resources {
        cpu    = 50
        memory = 16
      }
    }
  }
}
