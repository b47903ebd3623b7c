# SPDX-License-Identifier: MPL-2.0
# says: seen
FROM alpine:3.19
RUN --mount=type=bind,from=busybox:1.36,target=/other test -e /other/bin/sh && echo "seen"; sleep 0.2
