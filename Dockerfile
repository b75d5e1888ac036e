# The gateway and the operator in one image: `turnout-gateway` and `turnout operator`. The chart says which.
FROM python:3.11-slim AS build
WORKDIR /source
COPY locks/build.txt locks/image.txt locks/
RUN python -m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: -r locks/build.txt
RUN python -m venv --without-pip /opt/turnout
RUN python -m pip --python /opt/turnout/bin/python install --no-cache-dir --no-deps --require-hashes --only-binary :all: \
    -r locks/image.txt
# What changes often comes last.
COPY pyproject.toml README.md LICENSE ./
COPY protos protos
COPY gateway gateway
COPY deployer deployer
RUN python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir wheels .
RUN python -m pip --python /opt/turnout/bin/python install --no-cache-dir --no-deps --no-index wheels/*.whl
RUN mkdir /state

FROM python:3.11-slim
COPY --from=build /opt/turnout /opt/turnout
COPY --from=build --chown=65532:65532 /state /var/lib/turnout
ENV PATH=/opt/turnout/bin:/usr/local/bin:/usr/bin:/bin
ENV PYTHONUNBUFFERED=1
ENV TURNOUT_STATE=/var/lib/turnout
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
# Predictions; the gateway's health, metrics and table; the operator's health and metrics.
EXPOSE 8080 8081 8082
CMD ["turnout-gateway", "--host=0.0.0.0", "--admin-host=0.0.0.0"]
