# SPDX-License-Identifier: MPL-2.0
# says: in memory
FROM gcc:13
RUN --mount=type=tmpfs,target=/tmp/build echo x >/tmp/build/x && cat /tmp/build/x && echo in memory; sleep 0.2
