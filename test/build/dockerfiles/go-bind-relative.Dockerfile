# SPDX-License-Identifier: MPL-2.0
# takes: 1.38 relative target
# says: 1 go.mod
FROM golang:1.22
WORKDIR /src
RUN --mount=type=bind,source=go.mod,target=go.mod go mod download && wc -l go.mod; sleep 0.2
