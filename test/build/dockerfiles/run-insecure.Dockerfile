# SPDX-License-Identifier: MPL-2.0
# takes: never RUN --security
FROM alpine:3.19
RUN --security=insecure echo more rights; sleep 0.2
