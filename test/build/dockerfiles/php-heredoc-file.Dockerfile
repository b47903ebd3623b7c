# SPDX-License-Identifier: MPL-2.0
# takes: 1.33 heredoc
# says: memory_limit = 1G
FROM php:8.3-cli
COPY <<'INI' /usr/local/etc/php/php.ini
memory_limit = 1G
INI
RUN cat /usr/local/etc/php/php.ini; sleep 0.2
