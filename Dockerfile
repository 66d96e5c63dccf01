# The image: one static program and the CA certificates, nothing else. No shell, no package manager, no user but a number.
#
#   docker build -t countersign .       compiles
#   .ci/image BINARY                    takes a static binary that is there, where no base image can be had
#
# BINARY names the stage that the program comes from.
ARG BINARY=build

FROM docker.io/library/rust:1.95-slim-bookworm AS build
WORKDIR /src
# What merges the profile that .ci/dist takes.
RUN rustup component add llvm-tools
# .dockerignore says what; not rust-toolchain.toml, so that the toolchain of this image is used.
COPY . .
RUN .ci/dist && strip --strip-all --output-file=/countersign "target/$(rustc --print host-tuple)/dist/countersign"

FROM scratch AS prebuilt
ARG PREBUILT=target/image
COPY ${PREBUILT}/countersign /countersign
COPY ${PREBUILT}/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt

FROM ${BINARY} AS binary

FROM scratch
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="countersign" \
      org.opencontainers.image.description="Authenticating reverse-proxy sidecar: verifies bearer tokens, applies a route policy and vouches for the caller" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=binary --chmod=0555 /countersign /usr/local/bin/countersign
COPY --from=binary --chmod=0444 /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8080 9091
ENTRYPOINT ["/usr/local/bin/countersign"]
CMD ["run"]
