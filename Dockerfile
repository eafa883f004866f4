# The serving half: models, ONNX Runtime, the HTTP server. No torch.
#
#   docker build -t vision-zoo .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     -e VISION_ZOO_API_KEY=a-key-of-your-own -p 8000:8000 vision-zoo
#
# Every package has the version and one of the hashes of requirements.lock. To pin the base image by its digest as well:
# --build-arg PYTHON=python@sha256:...

ARG PYTHON=python:3.12.12-slim-trixie

FROM ${PYTHON} AS build
WORKDIR /source
COPY requirements.lock ./
RUN awk '/^uv==/ { found = 1 } found { print; if (!/\\$/) exit }' requirements.lock > /tmp/uv.txt \
  && pip install --no-cache-dir --require-hashes -r /tmp/uv.txt
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY vision_zoo vision_zoo
COPY exported exported
COPY results results
RUN uv build --no-cache --wheel --build-constraints requirements.lock --out-dir /wheels . \
  && uv venv --no-cache --python "$(command -v python)" /opt/vision-zoo \
  && uv pip install --no-cache --compile-bytecode --python /opt/vision-zoo/bin/python \
     --constraints requirements.lock /wheels/*.whl

FROM ${PYTHON}
COPY --from=build /opt/vision-zoo /opt/vision-zoo
RUN useradd --uid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin vision-zoo
ENV PATH=/opt/vision-zoo/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
# The server refuses to start without VISION_ZOO_API_KEY: it listens beyond this container.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/v2/health/ready')"]
# The first process of a container ignores SIGTERM unless it handles it; this one does, and drains.
ENTRYPOINT ["vision-zoo", "serve", "--host", "0.0.0.0"]
