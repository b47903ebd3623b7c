# SPDX-License-Identifier: MPL-2.0
# takes: never a symbolic --chmod
FROM alpine:3.19
COPY --chmod=u+x main.c /
