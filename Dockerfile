# syntax=docker/dockerfile:1
# plimsoll as an image with one file to run: no shell, no package manager, no user but an unprivileged one.
# deploy/README.md says what of this was run by hand where there was no Docker engine.

ARG RUST=1.95.0

FROM rust:${RUST}-bookworm AS build
WORKDIR /src

# Writes the list of the crates that are compiled into a program into that program: what its SBOM is read from. Before the
# flags below, which are not for it.
ARG CARGO_AUDITABLE=0.7.7
RUN cargo install cargo-auditable --locked --version "${CARGO_AUDITABLE}"

# Linked statically against glibc, with which tests run too. With a target named, the flags are not those of build scripts and procedural macros, which cannot be static.
ENV RUSTFLAGS="-C target-feature=+crt-static" \
    CARGO_TERM_COLOR=never

# The dependencies first, by an empty program: a layer that is kept until Cargo.lock changes. rust-toolchain.toml is
# left out on purpose: rustup would fetch another toolchain than the image's.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
 && echo 'fn main() {}' > src/main.rs \
 && touch src/lib.rs \
 && cargo auditable build --locked --release --bin plimsoll --target "$(uname -m)-unknown-linux-gnu"

# The program. What was copied may be older than the empty one, and cargo goes by time.
COPY policies policies
COPY src src
# What `plimsoll version` says it was built from. Only here: it would spoil the layer of the dependencies.
ARG REVISION=unknown
RUN touch src/main.rs src/lib.rs \
 && PLIMSOLL_REVISION="${REVISION}" cargo auditable build --locked --release --bin plimsoll --target "$(uname -m)-unknown-linux-gnu" \
 && cp "target/$(uname -m)-unknown-linux-gnu/release/plimsoll" /plimsoll \
 && /plimsoll version

FROM scratch
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL org.opencontainers.image.title="plimsoll" \
      org.opencontainers.image.description="Keeps Amazon ECS fleets within policy, safely, continuously, with proof" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"

# Whom to trust as AWS: the program brings no certificates of its own.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /plimsoll /plimsoll
COPY LICENSE /LICENSE

# By number, so that Kubernetes and ECS can tell that it is not root. It writes no file: run it read-only.
USER 65532:65532
ENTRYPOINT ["/plimsoll"]
CMD ["controller", "--listen", "127.0.0.1:8080"]
# ECS does not read this one; the task definition has its own.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["/plimsoll", "probe"]
