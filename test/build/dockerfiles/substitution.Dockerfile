# SPDX-License-Identifier: MPL-2.0
# takes: 1.39 ${NAME#x}
# says: version 1.2
FROM alpine:3.19
ARG TAG=v1.2
ENV VERSION=${TAG#v}
RUN echo "version $VERSION"; sleep 0.2
