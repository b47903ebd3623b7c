# SPDX-License-Identifier: MPL-2.0
# takes: 1.33 ADD --checksum
FROM alpine:3.19
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.org/x /x
