# SPDX-License-Identifier: MPL-2.0
# takes: 1.40 ADD --keep-git-dir
FROM alpine:3.19
ADD --keep-git-dir=true https://example.org/x.git /src
