# SPDX-License-Identifier: MPL-2.0
# says: built by npm
FROM node:20 AS build
WORKDIR /app
COPY package.json .
RUN npm install
RUN npm run build
FROM nginx:alpine
COPY --from=build /app/dist /usr/share/nginx/html
EXPOSE 80
STOPSIGNAL SIGQUIT
RUN cat /usr/share/nginx/html/index.html; sleep 0.2
