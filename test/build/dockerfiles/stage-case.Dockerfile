# SPDX-License-Identifier: MPL-2.0
# takes: never the name of a stage with other capitals
FROM alpine:3.19 AS Build
RUN echo of a stage >/name
FROM alpine:3.19
COPY --from=build /name /name
RUN cat /name; sleep 0.2
