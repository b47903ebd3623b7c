# syntax=docker/dockerfile:1
# SPDX-License-Identifier: MPL-2.0
# says: user 65532
FROM golang:1.22 AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.cache/go-build go build -o /bin/app .
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /bin/app /app
USER 65532:65532
RUN echo "user $(id -u)"; sleep 0.2
ENTRYPOINT ["/app"]
