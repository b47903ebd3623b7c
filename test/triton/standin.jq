# SPDX-License-Identifier: MPL-2.0
# The stand-in's configuration.
{ account: "acme",
keys: ["rsa", "ed25519", "p256", "p384", "p521"] | map("\($k)/\(.).pub"),
users: { deployer: ["\($k)/sub.pub"] },
tls: { cert: "\($k)/server.pem", key: "\($k)/server.key", ca: "\($k)/ca.pem" }, docker: $docker }
