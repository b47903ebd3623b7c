# SPDX-License-Identifier: MPL-2.0
# takes: 1.33 heredoc
# says: built by cargo
FROM rust:1.77
WORKDIR /app
RUN <<EOF
set -e
cargo build --release
target/release/app
sleep 0.2
EOF
