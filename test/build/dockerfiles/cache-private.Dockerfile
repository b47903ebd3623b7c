# SPDX-License-Identifier: MPL-2.0
# takes: never sharing=private
FROM alpine:3.19
RUN --mount=type=cache,target=/c,sharing=private echo alone; sleep 0.2
