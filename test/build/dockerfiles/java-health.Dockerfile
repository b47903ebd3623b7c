# SPDX-License-Identifier: MPL-2.0
# says: healthy
# with: format: "docker"
FROM eclipse-temurin:21
COPY pom.xml /
HEALTHCHECK --interval=30s --timeout=3s CMD wget -q -O- http://localhost/ || exit 1
RUN echo healthy; sleep 0.2
