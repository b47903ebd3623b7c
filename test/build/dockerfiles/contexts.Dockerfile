# SPDX-License-Identifier: MPL-2.0
# says: hello of a context
# with: build_contexts: { basis: "docker-image://docker.io/library/alpine:3.19", files: "alloc/files" }
FROM basis AS a
COPY --from=files hello /hello
RUN cat /hello; sleep 0.2
