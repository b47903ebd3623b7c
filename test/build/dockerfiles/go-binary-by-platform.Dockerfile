# SPDX-License-Identifier: MPL-2.0
# says: linux
ARG TARGETOS
FROM alpine:3.19 AS binary-linux
RUN echo linux >/os
FROM alpine:3.19 AS binary-windows
RUN echo windows >/os
FROM binary-$TARGETOS
RUN cat /os; sleep 0.2
