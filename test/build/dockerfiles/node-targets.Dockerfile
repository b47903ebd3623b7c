# SPDX-License-Identifier: MPL-2.0
# says: tested
# with: target: "test"
FROM node:20 AS base
WORKDIR /app
COPY package.json .
FROM base AS test
RUN npm test && echo "tested"; sleep 0.2
FROM base AS production
COPY --parents src ./
RUN exit 1
