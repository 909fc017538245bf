# lora-trainer as a container. Build the Java first, then the image, from the repository's root:
#   ./mvnw -q package -DskipTests
#   docker build -f deploy/docker/lora-trainer.Dockerfile -t safelora/lora-trainer:0.1.0 .
# A GPU needs a base with libtorch for CUDA: deploy/kubernetes/overlays/gpu.
ARG BASE=eclipse-temurin:17-jre
FROM ${BASE}

ENV LANG=C.UTF-8 \
    GOMP_SPINCOUNT=1000 \
    MALLOC_ARENA_MAX=2 \
    # The heap is small: weights are mapped, and libtorch has its own memory.
    JAVA_TOOL_OPTIONS="-XX:MaxRAMPercentage=25 -XX:+ExitOnOutOfMemoryError" \
    # Where DJL unpacks libtorch, and downloads are kept: the writable places. A volume at /var/cache/safelora saves time.
    DJL_CACHE_DIR=/var/cache/safelora/djl \
    SAFELORA_CACHE_DIR=/var/cache/safelora/files \
    SAFELORA_SCRATCH_DIR=/tmp

RUN mkdir -p /var/cache/safelora && chown 10001:10001 /var/cache/safelora
WORKDIR /opt/safelora
# What changes least comes first.
COPY lora-trainer/target/quarkus-app/lib lib
COPY lora-trainer/target/quarkus-app/quarkus-run.jar ./
COPY lora-trainer/target/quarkus-app/quarkus quarkus
COPY lora-trainer/target/quarkus-app/app app

USER 10001:10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8080 && printf 'GET /q/health/ready HTTP/1.0\\r\\n\\r\\n' >&3 && head -1 <&3 | grep -q ' 200 '"]
# java is process 1: SIGTERM ends the task at its next check and hands it over.
ENTRYPOINT ["java", "-jar", "quarkus-run.jar"]
