# SPDX-License-Identifier: MPL-2.0
# takes: 1.38 --exclude
# says: /app/package.json
FROM node:20
COPY --exclude=*.md . /app
RUN ls /app/package.json; sleep 0.2
