# SPDX-License-Identifier: MPL-2.0
# takes: 1.33 ADD --checksum
FROM alpine:3.19
ADD --checksum=sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a https://example.org/x /x
