# SPDX-License-Identifier: MPL-2.0
# says: built by go
FROM golang:1.22-alpine AS build
WORKDIR /src
COPY go.mod ./
RUN go mod download
COPY main.go ./
RUN CGO_ENABLED=0 go build -o /out/app .
FROM scratch
COPY --from=build /out/app /app
COPY --from=build / /
RUN /app; sleep 0.2
