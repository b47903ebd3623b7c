# SPDX-License-Identifier: MPL-2.0
# takes: 1.37 HEALTHCHECK --start-interval
# says: healthy
# with: format: "docker"
FROM eclipse-temurin:21
HEALTHCHECK --start-interval=1s CMD true
RUN echo healthy; sleep 0.2
