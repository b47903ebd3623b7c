# SPDX-License-Identifier: MPL-2.0
# says: built by cargo
FROM rust:1.77-slim AS build
WORKDIR /app
COPY Cargo.toml ./
COPY src src
RUN cargo build --release
FROM debian:bookworm-slim
COPY --from=build /app/target/release/app /usr/local/bin/app
RUN app; sleep 0.2
