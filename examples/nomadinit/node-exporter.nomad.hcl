# A service of the machine is a system job: it runs on every node, and Nomad is what starts, restarts and updates it.
job "node-exporter" {
  type = "system"

  group "node-exporter" {
    network {
      port "http" {
        static = 9100
      }
    }

    task "node-exporter" {
      driver = "raw_exec"

      # Any static binary will do.
      artifact {
        source = "https://artifacts.example.com/node_exporter"
        options {
          checksum = "sha256:0000000000000000000000000000000000000000000000000000000000000000"
        }
      }

      config {
        command = "local/node_exporter"
        args    = ["--web.listen-address=:${NOMAD_PORT_http}"]
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
