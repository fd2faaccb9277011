# syntax=docker/dockerfile:1
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
WORKDIR /build
COPY pyproject.toml README.md ./
COPY config config
COPY identity_service identity_service
RUN python3 -m venv /opt/identity \
    && /opt/identity/bin/pip install --no-cache-dir -r config/requirements.lock \
    && /opt/identity/bin/pip install --no-cache-dir --no-deps . \
    && /opt/identity/bin/pip uninstall --yes pip setuptools

FROM ${BASE}
RUN useradd --system --uid 10001 --home-dir /data identity && mkdir -m 700 /data && chown identity /data
COPY --from=build /opt/identity /opt/identity
USER 10001
VOLUME /data
EXPOSE 8080
# /dev/shm can be written where the rest of the root cannot
ENV PATH=/opt/identity/bin:$PATH PYTHONUNBUFFERED=1 TMPDIR=/dev/shm
HEALTHCHECK --interval=10s --timeout=3s CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/healthz', timeout=2)"]
ENTRYPOINT ["identity-service"]
# needs the keys and the shop in the environment, secrets also as files (IDENTITY_SECRETS__PEPPER_FILE=/run/secrets/pepper),
# or a file of your own in place of `production`: see config/production.toml
CMD ["serve", "--config", "production", "--data", "/data"]
