# SPDX-License-Identifier: MPL-2.0
# says: 6
# with: secrets: { token: "env:TOKEN" }
FROM alpine:3.19
RUN --mount=type=secret,id=token,required=true wc -c </run/secrets/token; sleep 0.2
