# syntax=docker/dockerfile:1

# One image, every role: `docker run -p 8080:8080 taskledger` is the whole system in one container, `taskledger auth` and so on
# are its parts; compose.yaml puts them together.

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches outlive the build, so the binary is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p taskledger --features kurrentdb \
    && cp target/release/taskledger /usr/local/bin/taskledger

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /var/lib/taskledger --shell /usr/sbin/nologin taskledger \
    && install -d -o taskledger -g taskledger -m 0700 /var/lib/taskledger /var/lib/taskledger/keys
COPY --from=build /usr/local/bin/taskledger /usr/local/bin/taskledger
COPY LICENSE LICENSE-MIT LICENSE-APACHE auth/src/password/common_passwords.md /usr/share/doc/taskledger/

USER taskledger
WORKDIR /var/lib/taskledger
ENV TASKLEDGER_DATA_DIR=/var/lib/taskledger
EXPOSE 8080 9090
# Roles differ in where they answer: whoever runs the container probes /health/ready from outside.
HEALTHCHECK NONE
ENTRYPOINT ["taskledger"]
CMD ["up", "--listen", "0.0.0.0:8080", "--admin-listen", "0.0.0.0:9090"]
