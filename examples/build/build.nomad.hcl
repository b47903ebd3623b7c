# Builds an image of what a first task prepares, and looks at the result.
# Nothing is fetched: the base is the node's own busybox.
job "build" {
  type = "batch"

  group "g" {
    task "prepare" {
      driver = "raw_exec"

      lifecycle {
        hook = "prestart"
      }

      config {
        command = "/bin/sh"
        args    = ["${NOMAD_TASK_DIR}/prepare.sh"]
      }

      template {
        destination = "local/prepare.sh"
        data        = <<-SCRIPT
          set -eu
          mkdir -p "$NOMAD_ALLOC_DIR/src/bin"
          cp "$(which busybox)" "$NOMAD_ALLOC_DIR/src/bin/busybox"
          cat >"$NOMAD_ALLOC_DIR/src/Containerfile" <<'END'
          FROM scratch
          COPY bin/busybox /bin/busybox
          ARG GREETING=hello
          RUN ["/bin/busybox", "--install", "/bin"]
          RUN echo "$GREETING" >/greeting
          ENTRYPOINT ["/bin/cat", "/greeting"]
          END
        SCRIPT
      }
    }

    task "build" {
      driver = "build"

      config {
        context       = "alloc/src"
        args          = { GREETING = "hello from a build" }
        tags          = ["example.org/hello:1"]
        timestamp     = 0
        metadata_file = "alloc/build.json"

        output {
          type = "oci"
          path = "alloc/image"
        }
      }

      resources {
        cpu    = 500
        memory = 300
      }
    }

    task "check" {
      driver = "raw_exec"

      lifecycle {
        hook = "poststop"
      }

      config {
        command = "/bin/sh"
        args    = ["${NOMAD_TASK_DIR}/check.sh"]
      }

      template {
        destination = "local/check.sh"
        data        = <<-SCRIPT
          set -eu
          cd "$NOMAD_ALLOC_DIR"
          umoci unpack --image image:latest "$NOMAD_TASK_DIR/bundle"
          cat build.json
          # What the image is to run: its entrypoint, in its root.
          chroot "$NOMAD_TASK_DIR/bundle/rootfs" /bin/cat /greeting
        SCRIPT
      }
    }
  }
}
