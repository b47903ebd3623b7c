# syntax=docker/dockerfile:1
# SPDX-License-Identifier: MPL-2.0
# takes: 1.38 relative target
# says: built by uv
FROM ghcr.io/astral-sh/uv:0.5 AS build
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    uv sync --frozen --no-install-project && .venv/bin/app; sleep 0.2
