# SPDX-License-Identifier: MPL-2.0
# says: 1000 /srv/app/hello
FROM alpine:3.19
ARG APP_HOME=/srv/app
ARG UID=1000 GID=1000
ENV APP_HOME=${APP_HOME}
WORKDIR ${APP_HOME}
COPY --chown=${UID}:${GID} --chmod=0640 ["main.go", "hello"]
ADD rootfs.tar /unpacked/
VOLUME ["/data"]
HEALTHCHECK NONE
SHELL ["/bin/sh", "-ec"]
USER ${UID}:${GID}
RUN ls /unpacked/bin/sh && stat -c '%u %n' "$APP_HOME/hello"; sleep 0.2
