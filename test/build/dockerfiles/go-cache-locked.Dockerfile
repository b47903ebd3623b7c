# SPDX-License-Identifier: MPL-2.0
# says: built by go
FROM golang:1.22
COPY main.go .
RUN --mount=type=cache,id=go-mod,target=/go/pkg/mod,sharing=locked go mod download
RUN --mount=type=cache,id=go-mod,target=/go/pkg/mod,sharing=locked go build -o /app . && /app; sleep 0.2
