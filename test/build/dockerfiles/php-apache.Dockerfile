# SPDX-License-Identifier: MPL-2.0
# says: owner 33
FROM php:8.3-apache
RUN docker-php-ext-install pdo_mysql
COPY --chown=33:33 index.php /var/www/html/
RUN stat -c 'owner %u' /var/www/html/index.php; sleep 0.2
