# SPDX-License-Identifier: MPL-2.0
# says: of quay
FROM quay.io/prometheus/busybox:latest AS a
RUN echo of quay >/name
FROM mcr.microsoft.com/dotnet/runtime:8.0
COPY --from=a /name /name
RUN cat /name; sleep 0.2
