# syntax=docker/dockerfile:1
# SPDX-License-Identifier: MPL-2.0
# says: for linux
FROM --platform=$BUILDPLATFORM golang:1.22 AS build
ARG TARGETOS TARGETARCH
WORKDIR /src
COPY . .
RUN GOOS=$TARGETOS GOARCH=$TARGETARCH go build -o /out/app . && echo "for $TARGETOS"; sleep 0.2
FROM alpine:3.19
COPY --from=build /out/app /usr/local/bin/app
