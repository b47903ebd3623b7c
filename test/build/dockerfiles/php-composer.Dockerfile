# SPDX-License-Identifier: MPL-2.0
# says: autoload.php
# with: format: "docker"
FROM composer:2 AS vendor
WORKDIR /app
COPY composer.json .
RUN composer install --no-dev
FROM php:8.3-fpm
WORKDIR /var/www
COPY --from=vendor /app/vendor vendor
COPY --from=nginx:alpine /bin/sh /bin/sh2
SHELL ["/bin/sh", "-ec"]
RUN ls vendor; sleep 0.2
