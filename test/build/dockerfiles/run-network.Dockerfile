# SPDX-License-Identifier: MPL-2.0
# takes: 1.30 RUN --network
# says: alone
FROM alpine:3.19
RUN --network=none echo alone; sleep 0.2
