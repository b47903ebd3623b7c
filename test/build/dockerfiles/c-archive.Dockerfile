# SPDX-License-Identifier: MPL-2.0
# says: from an archive
FROM scratch
ADD rootfs.tar /
LABEL org.opencontainers.image.title="from an archive"
RUN echo from an archive; sleep 0.2
