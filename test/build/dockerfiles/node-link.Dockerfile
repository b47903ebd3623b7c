# SPDX-License-Identifier: MPL-2.0
# says: built by npm
FROM node:20 AS build
WORKDIR /app
COPY --link package.json .
RUN npm run build
FROM nginx:alpine
COPY --link --from=build /app/dist /html
RUN cat /html/index.html; sleep 0.2
