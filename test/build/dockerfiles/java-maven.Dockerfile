# SPDX-License-Identifier: MPL-2.0
# says: built by mvn
FROM maven:3.9-eclipse-temurin-21 AS build
WORKDIR /build
COPY pom.xml .
RUN mvn -B dependency:go-offline
COPY src src
RUN mvn -B package
FROM eclipse-temurin:21-jre
ARG JAR=target/app.jar
COPY --from=build /build/${JAR} /app.jar
VOLUME /data
RUN cat /app.jar; sleep 0.2
ENTRYPOINT ["java", "-jar", "/app.jar"]
