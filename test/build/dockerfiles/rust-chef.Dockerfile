# SPDX-License-Identifier: MPL-2.0
# says: built by cargo
FROM rust:1.77 AS chef
WORKDIR /app
FROM chef AS planner
COPY . .
RUN cargo chef prepare --recipe-path recipe.json
FROM chef AS build
COPY --from=planner /app/recipe.json recipe.json
RUN cargo build --release
FROM debian:bookworm-slim
COPY --from=build /app/target/release /opt
RUN /opt/app; sleep 0.2
