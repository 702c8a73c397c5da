# The image holds one static binary and nothing else: no shell, no package
# manager, no libc. Time zones are inside the binary; the certificates of public
# authorities come from the build stage.
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
# Modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download && go mod verify
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags '-s -w' -o /out/refill . \
 && mkdir -p /root-fs/data /root-fs/etc/ssl/certs \
 && mkdir -m 1777 /root-fs/tmp \
 && cp /etc/ssl/certs/ca-certificates.crt /root-fs/etc/ssl/certs/

FROM scratch
COPY --from=build /root-fs/ /
# A new volume takes over the owner of the directory it covers.
COPY --from=build --chown=65532:65532 /root-fs/data /data
COPY --from=build /out/refill /refill
USER 65532:65532
# The embedded database, where no DATABASE_URL names a PostgreSQL.
ENV REFILL_DATA=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/refill", "healthcheck"]
ENTRYPOINT ["/refill"]
CMD ["serve"]
