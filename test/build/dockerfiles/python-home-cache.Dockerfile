# SPDX-License-Identifier: MPL-2.0
# takes: 1.38 relative target
# says: done
FROM python:3.12
RUN --mount=type=cache,target=~/.cache/pip pip install x && echo done; sleep 0.2
