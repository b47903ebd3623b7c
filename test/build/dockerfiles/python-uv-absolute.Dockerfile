# SPDX-License-Identifier: MPL-2.0
# says: built by uv
FROM ghcr.io/astral-sh/uv:0.5
WORKDIR /app
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=/app/uv.lock \
    --mount=type=bind,source=pyproject.toml,target=/app/pyproject.toml \
    uv sync --frozen && .venv/bin/app; sleep 0.2
