# SPDX-License-Identifier: MPL-2.0
# says: of a stage
FROM alpine:3.19 AS data
RUN echo of a stage >/file
FROM alpine:3.19
RUN --mount=type=bind,from=data,source=/file,target=/mnt/file cat /mnt/file; sleep 0.2
