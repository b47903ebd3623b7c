# SPDX-License-Identifier: MPL-2.0
# says: built by npm
FROM node:20-alpine
WORKDIR /app
COPY package*.json ./
RUN npm ci
COPY . .
RUN npm run build && cat dist/index.html; sleep 0.2
USER node
CMD ["node", "dist/index.js"]
