# syntax=docker/dockerfile:1
# A CPU image:   docker build -t unrolled .
# A CUDA image:  docker build -t unrolled:cuda --build-arg DEVICE=cuda .
ARG PYTHON_VERSION=3.12

FROM python:${PYTHON_VERSION}-slim AS build
ARG DEVICE=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/unrolled
ENV PATH=/opt/unrolled/bin:$PATH
WORKDIR /source
COPY constraints.txt ./
COPY pyproject.toml README.md LICENSE ./
COPY app app
COPY model model
COPY weights weights
# A CPU needs no PyTorch: the weights bring the graphs that it runs.
RUN case "$DEVICE" in \
        cpu) pip install -c constraints.txt . ;; \
        cuda) pip install -c constraints.txt ".[torch]" ;; \
        *) echo "DEVICE must be cpu or cuda, not $DEVICE" >&2; exit 1 ;; \
    esac

FROM python:${PYTHON_VERSION}-slim
LABEL org.opencontainers.image.title="Unrolled" \
      org.opencontainers.image.description="Describes photographs with a CNN and an LSTM, and says how sure it is" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --no-create-home unrolled
COPY --from=build /opt/unrolled /opt/unrolled
ENV PATH=/opt/unrolled/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    UNROLLED_HOST=0.0.0.0 \
    UNROLLED_PORT=8000
USER 10001
WORKDIR /home
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s CMD \
    ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"UNROLLED_PORT\"]}/health/ready', timeout=2)"]
CMD ["unrolled", "serve"]
