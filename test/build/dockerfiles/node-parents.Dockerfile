# SPDX-License-Identifier: MPL-2.0
# takes: 1.40 COPY --parents
# says: index.js
FROM node:20
COPY --parents src/index.js ./
RUN ls src; sleep 0.2
