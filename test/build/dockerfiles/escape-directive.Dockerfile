# escape=`
# SPDX-License-Identifier: MPL-2.0
# says: two
FROM alpine:3.19
RUN echo one `
 && echo two; sleep 0.2
