# SPDX-License-Identifier: MPL-2.0
# says: built by go
ARG GO_VERSION=1.22
ARG ALPINE=${ALPINE_VERSION:-3.19}
FROM golang:${GO_VERSION} AS build
COPY main.go .
RUN go build -o /app .
FROM alpine:${ALPINE}
COPY --from=build --chmod=755 /app /app
RUN /app; sleep 0.2
