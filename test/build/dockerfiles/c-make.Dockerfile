# SPDX-License-Identifier: MPL-2.0
# says: built by gcc
FROM gcc:13 AS build
COPY main.c Makefile /src/
RUN make -C /src -o /src/app && gcc -static -o /src/app /src/main.c
FROM scratch
COPY --from=build /bin /bin
COPY --from=build /src/app /app
RUN ["/bin/sh", "-c", "/app; sleep 0.2"]
