# Brings a new image to every node.  The machine restarts into it; if its agent does not become healthy there, the boot
# loader goes back to the old one.  Dispatch it node by node:
#   nomad job dispatch -meta node=NODE_ID -meta checksum=sha256:... update
job "update" {
  type = "batch"

  parameterized {
    meta_required = ["node", "checksum"]
  }

  constraint {
    attribute = "${node.unique.id}"
    value     = "${NOMAD_META_node}"
  }

  group "update" {
    ephemeral_disk {
      size = 200
    }

    task "update" {
      driver = "raw_exec"

      artifact {
        source = "https://artifacts.example.com/nomadinit.update"
        mode   = "file"
        options {
          checksum = "${NOMAD_META_checksum}"
          archive  = false
        }
        destination = "local/nomadinit.update"
      }

      config {
        command = "/sbin/nomadinit"
        args    = ["update", "local/nomadinit.update", "--reboot"]
      }
    }

    restart {
      attempts = 0
    }
  }
}
