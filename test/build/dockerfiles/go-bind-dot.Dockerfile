# SPDX-License-Identifier: MPL-2.0
# takes: 1.38 relative target
# says: built by go
FROM golang:1.22
WORKDIR /src
RUN --mount=type=bind,target=. go build -o /app . && /app; sleep 0.2
