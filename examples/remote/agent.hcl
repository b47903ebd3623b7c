# SPDX-License-Identifier: MPL-2.0
# For an agent that runs where `make` was: nomad agent -dev -config=agent.hcl -plugin-dir="$PWD"

plugin "nomad-driver-remote" {
  config {
    url = "http://127.0.0.1:8100"
  }
}
