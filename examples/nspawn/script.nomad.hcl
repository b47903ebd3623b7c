# SPDX-License-Identifier: MPL-2.0
# A script with its configuration from a template and a secret from Nomad's
# variables, set by
#	nomad var put nomad/jobs/script password=...
job "script" {
  type = "batch"

  group "script" {
    task "report" {
      driver = "nspawn"

      config {
        image = "busybox-1.36"
        boot  = false
        image_download {
          url  = "registry.example.org/busybox:1.36"
          type = "docker"
        }
        command = ["/bin/sh", "/local/report.sh"]
      }

      template {
        destination = "local/report.sh"
        data        = <<-SCRIPT
          . /local/report.conf
          echo "report of $SITE by {{ env "NOMAD_JOB_NAME" }}"
          echo "the file has $(wc -c </secrets/password) bytes, the variable $${#PASSWORD}"
          SCRIPT
      }

      template {
        destination = "local/report.conf"
        data        = "SITE='{{ env \"node.datacenter\" }}'\n"
      }

      # As a file that is in memory, and as a variable of the environment.
      template {
        destination = "secrets/password"
        data        = "{{ with nomadVar \"nomad/jobs/script\" }}{{ .password }}{{ end }}"
      }
      template {
        destination = "secrets/report.env"
        env         = true
        data        = "PASSWORD={{ with nomadVar \"nomad/jobs/script\" }}{{ .password }}{{ end }}\n"
      }

      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
