# SPDX-License-Identifier: MPL-2.0
# takes: 1.44 env= of RUN
# says: 6 letters
# with: secrets: { token: "env:TOKEN" }
FROM alpine:3.19
RUN --mount=type=secret,id=token,env=TOKEN echo "${#TOKEN} letters"; sleep 0.2
