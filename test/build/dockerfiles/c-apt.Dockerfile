# SPDX-License-Identifier: MPL-2.0
# says: built by gcc
FROM debian:bookworm
ARG DEBIAN_FRONTEND=noninteractive
RUN apt-get update \
 && apt-get install -y build-essential \

 && rm -rf /var/lib/apt/lists/*
ADD main.c /src/
RUN gcc -o /app /src/main.c && /app; sleep 0.2
